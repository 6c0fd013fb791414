"""Files that are not taken: one clear sentence each, through the real endpoint; the others go on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image as Picture
from pytest_django.fixtures import Settings

from tests.factories import dicom, jpeg, png, tiff
from tests.house import House, Sender, browser
from xrayportal.audit.models import AuditEvent
from xrayportal.intake.filenames import clean_filename
from xrayportal.studies.models import Image, Study, Upload
from xrayportal.web.submissions import views

pytestmark = pytest.mark.django_db


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims any size."""
    content = bytearray(jpeg())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def with_second_frame(source: bytes) -> bytes:
    """The PNG followed by its negative, as an animation."""
    out = BytesIO()
    with Picture.open(BytesIO(source)) as picture:
        picture.save(out, "PNG", save_all=True, append_images=[picture.point(lambda level: 255 - level)])
    return out.getvalue()


def with_second_page(content: bytes) -> bytes:
    """A TIFF whose directory chain leads to a second picture (the first one again)."""
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    end = first + 2 + 12 * count
    return (
        content[:end]
        + struct.pack("<I", len(content))
        + content[end + 4 :]
        + content[first:end]
        + b"\x00" * 4
    )


BAD = [
    ("empty.png", b"", "empty", "the file is empty"),
    ("text.png", b"Dear colleague,\nplease find enclosed\n", "not-a-picture", "it is text, not a picture"),
    ("report.dcm", b"%PDF-1.7\n" + b"\x00" * 600, "not-a-picture", "it is a PDF document"),
    ("archive.jpg", b"\x1f\x8b\x08" + b"\x00" * 600, "not-a-picture", "it is a gzip archive"),
    ("secret.dcm", b"-----BEGIN PGP MESSAGE-----\n" + b"A" * 600, "encrypted", "the file is encrypted"),
    ("cut.jpg", jpeg(size=(200, 200), quality=95)[:-40], "truncated", "ends before its pixels"),
    ("head_only.jpg", jpeg()[:30], "truncated", "ends before its pixels"),
    ("cut.png", png()[:-20], "truncated", "ends before its pixels"),
    ("flipped.png", png()[:45] + b"\x00\x01\x02" + png()[48:], "corrupt", "damaged"),
    ("cut.tif", tiff()[: len(tiff()) // 3], "truncated", "ends before its pixels"),
    ("pages.tif", with_second_page(tiff()), "multi-frame", "several pictures"),
    ("moving.png", with_second_frame(png(shade=40)), "multi-frame", "several pictures"),
    ("big.tif", b"II+\x00\x08\x00\x00\x00" + b"\x00" * 600, "truncated", "ends before its pixels"),
    ("cut.dcm", dicom()[:-300], "truncated", "ends before its pixels"),
    ("cut_head.dcm", dicom()[:600], "truncated", "ends before its pixels"),
    ("report.dcm", dicom(without=("PixelData",)), "no-pixels", "holds no picture"),
    (
        "slice.dcm",
        dicom(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
        "not-a-projection",
        "it is a CT slice, not a projection radiograph",
    ),
    ("slice2.dcm", dicom(Modality="CT"), "not-a-projection", "it is a CT slice"),
    ("slice3.dcm", dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), "not-a-projection", "it is an MR slice"),
    (
        "movie.dcm",
        dicom(NumberOfFrames=3, pixels=b"\x00" * (3 * 32 * 24 * 2)),
        "multi-frame",
        "it holds 3 frames",
    ),
    ("huge.png", png_header(50_000, 50_000), "too-many-pixels", "50,000 × 50,000 pixels"),  # noqa: RUF001
    ("huge.jpg", jpeg_header(50_000, 50_000), "too-many-pixels", "50,000 × 50,000 pixels"),  # noqa: RUF001
    ("huge.dcm", dicom(Rows=50_000, Columns=50_000), "too-many-pixels", "50,000 × 50,000 pixels"),  # noqa: RUF001
    ("flat.png", png_header(0, 50), "corrupt", "damaged"),
]


@pytest.mark.parametrize(("name", "content", "kind", "words"), BAD, ids=[row[0] for row in BAD])
def test_one_sentence_that_names_the_file_and_the_others_go_on(
    sender: Sender, stored_files: Callable[[], set[str]], name: str, content: bytes, kind: str, words: str
) -> None:
    good = png(text=name[:20])
    uploads = sender.send_all({"before.png": png(shade=7), name: content, "after.png": good})
    bad = uploads[name]
    assert (bad.outcome, bad.kind) == (Upload.Outcome.REJECTED, kind)
    assert bad.sentence.startswith(f"Could not read {name}: ")
    assert words in bad.sentence
    assert bad.sentence.endswith(".")
    assert bad.image is None
    assert uploads["before.png"].outcome == uploads["after.png"].outcome == Upload.Outcome.ACCEPTED
    assert stored_files() == set(Image.objects.values_list("file", flat=True))
    assert Image.objects.count() == Study.objects.count() == 2
    assert set(Study.objects.values_list("state", flat=True)) == {Study.State.SEALED}


def test_answer_of_a_rejected_file(sender: Sender) -> None:
    begun = sender.begin()
    response = sender.send(begun, "note.png", b"just text", key="k")
    assert response.status_code == 201
    assert response.json() == {
        "id": response.json()["id"],
        "outcome": "rejected",
        "filename": "note.png",
        "sentence": "Could not read note.png: it is text, not a picture. "
        "Send PNG, JPEG, TIFF or DICOM files.",
        "kind": "not-a-picture",
        "study": None,
    }


def test_a_file_over_the_limit_is_counted_not_kept(
    sender: Sender, settings: object, stored_files: Callable[[], set[str]]
) -> None:
    settings.UPLOAD_MAX_BYTES = 3 * 2**20  # type: ignore[attr-defined]
    whole = png() + b"\x00" * (5 * 2**20)
    uploads = sender.send_all({"large.png": whole, "small.png": png()})
    assert uploads["large.png"].kind == "too-large"
    assert "it is larger than 3 MB" in uploads["large.png"].sentence
    assert uploads["large.png"].size == len(whole)
    assert uploads["small.png"].outcome == Upload.Outcome.ACCEPTED
    assert len(stored_files()) == 1


def test_a_large_file_goes_to_the_disk_only_up_to_the_limit(settings: object) -> None:
    from xrayportal.intake.upload_handler import BoundedFileUploadHandler

    settings.UPLOAD_MAX_BYTES = 100  # type: ignore[attr-defined]
    handler = BoundedFileUploadHandler()
    handler.new_file("file", "a.png", "image/png", 0, None, None)
    for start in range(0, 640, 64):
        handler.receive_data_chunk(b"x" * 64, start)
    file = handler.file_complete(640)
    assert file is not None
    assert (file.size, len(file.read())) == (640, 100)
    file.close()


def test_what_is_being_received_has_no_name_on_the_disk(
    sender: Sender, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed meanwhile leaves nobody's name in a folder for temporary files."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    seen: list[list[Path]] = []
    take = views.take

    def watched(*arguments: Any) -> Any:
        seen.append(list(tmp_path.iterdir()))
        return take(*arguments)

    monkeypatch.setattr(views, "take", watched)
    stored = sender.send(sender.begin(), "a.dcm", dicom(patient_id="Mustermann")).json()
    assert (stored["outcome"], seen) == ("accepted", [[]])


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd.png", "passwd.png"),
        ("..\\..\\windows\\knee.png", "knee.png"),
        ("knie\nlinks.png", "knielinks.png"),
        ("Röntgen Сколіоз 膝.png", "Röntgen Сколіоз 膝.png"),
        ("e\u0301.png", "é.png"),
        ("gnp.\u202egpj.exe", "gnp.gpj.exe"),
        ("a\u200bb\x00c\u2028d\ufeff.png", "abcd.png"),
        ("..", "file"),
        ("/", "file"),
        ("", "file"),
        ("   ", "file"),
        ("a" * 300 + ".jpeg", "a" * 250 + ".jpeg"),
        ("<script>alert(1)</script>.png", "script>.png"),
        ("\ud800.png", ".png"),
    ],
)
def test_shown_names(sent: str, shown: str) -> None:
    assert clean_filename(sent) == shown


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/evil.png", "knee\n<b>02.png", "Knöchel 膝 \u202e.png"]
)
def test_names_through_the_endpoint(sender: Sender, stored_files: Callable[[], set[str]], name: str) -> None:
    begun = sender.begin()
    stored = sender.send(begun, name, png(), key="k").json()
    assert stored["outcome"] == "accepted"
    assert "/" not in stored["filename"]
    assert stored["filename"].isprintable()
    (file,) = stored_files()
    assert file == Image.objects.get().file
    assert file.startswith(f"clinics/{sender.clinic.pk}/originals/")


def test_two_codes_where_one_belongs_are_none(sender: Sender) -> None:
    """Together they are longer than the column is wide."""
    codes = ["OBLIQUE_EXTERNAL", "OBLIQUE_INTERNAL"]
    answer = sender.send(sender.begin(), "two.dcm", dicom(ViewPosition=codes))
    assert (answer.status_code, answer.json()["outcome"]) == (201, "accepted")
    assert Image.objects.get().view_position == ""


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"key": "k"},
        {"key": "", "file": SimpleUploadedFile("a.png", b"x")},
        {"key": "k" * 65, "file": SimpleUploadedFile("a.png", b"x")},
        {"key": "k", "patient_reference": "r" * 65, "file": SimpleUploadedFile("a.png", b"x")},
    ],
)
def test_requests_that_make_no_sense_get_a_sentence(sender: Sender, data: dict[str, object]) -> None:
    response = sender.client.post(sender.begin()["uploads"], data)
    assert response.status_code == 400
    assert response.json()["sentence"].endswith(".")
    assert not Upload.objects.exists()


@pytest.mark.parametrize("expected", ["many", "-1", "1000000"])
def test_nonsense_numbers_of_files(sender: Sender, expected: str) -> None:
    response = sender.client.post(
        reverse("submissions", args=[sender.clinic.slug]), {"expected_files": expected}
    )
    assert response.status_code == 400


def test_logs_and_audit_name_no_file_and_no_patient(
    sender: Sender, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    sender.send_all(
        {
            "Mustermann_Erika.dcm": dicom(),
            "Mustermann_cut.dcm": dicom()[:-200],
            "Mustermann_ct.dcm": dicom(Modality="CT"),
            "Mustermann.png": b"Mustermann",
        }
    )
    log = (
        caplog.text
        + "".join(capfd.readouterr())
        + str(list(AuditEvent.objects.values("detail", "target_id")))
    )
    assert "rejected: truncated" in log
    for secret in ("Mustermann", "PID-4711", "St. Elsewhere", "1964"):
        assert secret not in log


def test_cut_files_of_the_source_are_refused(sender: Sender, shared_data: Path) -> None:
    cut = sorted((shared_data / "truncated").glob("*.jp*g"))
    assert cut
    uploads = sender.send_all({path.name: path.read_bytes() for path in cut})
    assert {upload.kind for upload in uploads.values()} == {"truncated"}


def test_real_radiographs_are_taken(sender: Sender, shared_data: Path) -> None:
    some = sorted((shared_data / "fracatlas" / "images").rglob("*.jpg"))[::400]
    uploads = sender.send_all({path.name: path.read_bytes() for path in some})
    assert {upload.outcome for upload in uploads.values()} <= {"accepted", "duplicate"}


def test_plain_form_without_scripts(house: House, stored_files: Callable[[], set[str]]) -> None:
    client = browser(house.uploader)
    files = [SimpleUploadedFile("a.png", png()), SimpleUploadedFile("b.png", b"text")]
    response = client.post(reverse("upload", args=[house.clinic.slug]), {"files": files})
    outcomes = dict(Upload.objects.values_list("filename", "outcome"))
    assert outcomes == {"a.png": "accepted", "b.png": "rejected"}
    submission = Upload.objects.all()[0].submission
    assert submission.state == submission.State.FINISHED
    assert response.headers["Location"] == reverse("submission", args=[house.clinic.slug, submission.pk])
    nothing = client.post(reverse("upload", args=[house.clinic.slug]))
    assert nothing.headers["Location"] == reverse("upload", args=[house.clinic.slug])
    assert Path(settings.MEDIA_ROOT, *stored_files()).is_file()
