"""ZIP archives: what is inside arrives, what is hostile does not, and the rest goes on."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from tests.factories import dicom, png
from tests.intake.bulk.conftest import FOREIGN, Take, foreign, zipped
from xrayportal.studies.models import Image, Study, Submission, Upload
from xrayportal.studies.storage import StorageUnavailableError


def outcomes(uploads: list[Upload]) -> dict[str, str]:
    return {upload.filename: upload.outcome for upload in uploads}


def test_every_file_of_an_archive_becomes_an_upload(deliver: Take) -> None:
    archive = zipped({"a.png": png(shade=1), "b.dcm": dicom(), "notes.txt": b"hello"})
    first, *inner = deliver("monday.zip", archive)
    assert first.outcome == Upload.Outcome.APPLIED
    assert first.sentence == "3 files unpacked, 1 of them not taken."
    assert outcomes(inner) == {"a.png": "accepted", "b.dcm": "accepted", "notes.txt": "rejected"}
    assert "notes.txt" in Upload.objects.get(filename="notes.txt").sentence


def test_the_same_archive_again_stores_nothing_twice(deliver: Take) -> None:
    archive = zipped({"a.png": png(shade=1)})
    deliver("monday.zip", archive, key="one")
    assert len(deliver("monday.zip", archive, key="one")) == 1
    assert Image.objects.count() == 1
    assert Upload.objects.count() == 2


def test_an_interrupted_archive_goes_on_where_it_stopped(
    deliver: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped({f"{number}.png": png(shade=number) for number in range(4)})
    write, written = Path.rename, []

    def full(self: Path, target: Path) -> Path:
        if len(written) == 2:
            raise OSError("No space left on device")
        written.append(target)
        return write(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", full)
        with pytest.raises(StorageUnavailableError):
            deliver("monday.zip", archive, key="one")
    assert Image.objects.count() == 2
    deliver("monday.zip", archive, key="one")
    assert Image.objects.count() == 4
    assert Upload.objects.filter(outcome=Upload.Outcome.ACCEPTED).count() == 4


@pytest.mark.parametrize(
    "path", ["../../etc/passwd.png", "/etc/evil.png", "C:\\evil.png", "a/../../b.png", "..\\evil.png"]
)
def test_a_path_that_leads_out_is_refused_by_name(deliver: Take, path: str) -> None:
    _, evil, good = deliver("x.zip", zipped({path: png(shade=3), "good.png": png(shade=4)}))
    assert evil.outcome == Upload.Outcome.REJECTED
    assert evil.filename in evil.sentence
    assert "leads out of the archive" in evil.sentence
    assert good.outcome == Upload.Outcome.ACCEPTED


def test_a_link_is_refused(deliver: Take) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.png", png())
    _, refused, good = deliver("x.zip", out.getvalue())
    assert "it is a link" in refused.sentence
    assert good.outcome == Upload.Outcome.ACCEPTED


def test_a_bomb_is_refused_without_unpacking_it(deliver: Take) -> None:
    bomb = zipped({"bomb.png": bytes(40 * 2**20), "good.png": png()})
    _, refused, good = deliver("x.zip", bomb)
    assert "far more than a radiograph" in refused.sentence
    assert good.outcome == Upload.Outcome.ACCEPTED


def test_a_member_that_lies_about_its_size_is_refused(deliver: Take) -> None:
    honest = zipped({"big.png": bytes(5000)}, zipfile.ZIP_DEFLATED)
    lying = honest.replace(struct.pack("<L", 5000), struct.pack("<L", 100))
    _, refused = deliver("x.zip", lying)
    assert refused.outcome == Upload.Outcome.REJECTED
    assert "archive" in refused.sentence


def test_an_archive_inside_an_archive_is_refused(deliver: Take) -> None:
    inner = zipped({"a.png": png()})
    _, by_name, by_bytes = deliver("x.zip", zipped({"inner.zip": inner, "inner.png": inner}))
    assert "archive inside the archive" in by_name.sentence
    assert "archive inside the archive" in by_bytes.sentence
    assert not Image.objects.exists()


@pytest.mark.parametrize(
    ("flag", "says"), [(0x01, "it is encrypted"), (0x40, "it is encrypted"), (0x20, "it is packed in a way")]
)
def test_a_member_that_needs_more_than_unpacking_is_refused(deliver: Take, flag: int, says: str) -> None:
    plain = bytearray(zipped({"secret.png": png()}, zipfile.ZIP_STORED))
    plain[6] |= flag  # in the local header, then in the central one
    plain[plain.index(b"PK\x01\x02") + 8] |= flag
    _, refused = deliver("x.zip", bytes(plain))
    assert says in refused.sentence


@pytest.mark.parametrize("cut", [30, 200])
def test_a_damaged_archive_is_one_sentence(deliver: Take, cut: int) -> None:
    archive = zipped({"a.png": png(), "b.png": png(shade=9)})
    (refused,) = deliver("monday.zip", archive[:-cut])
    assert refused.sentence == (
        "Could not read monday.zip: the archive is damaged or cut short. Make the archive again."
    )
    assert not Image.objects.exists()


def test_damage_of_one_member_spoils_no_other(deliver: Take) -> None:
    archive = bytearray(zipped({"a.png": png(shade=1), "b.png": png(shade=2)}, zipfile.ZIP_STORED))
    archive[archive.index(b"IDAT") + 6] ^= 0xFF
    _, damaged, good = deliver("x.zip", bytes(archive))
    assert "damaged inside the archive" in damaged.sentence
    assert good.outcome == Upload.Outcome.ACCEPTED


def test_ten_thousand_tiny_files_are_refused_as_one(deliver: Take) -> None:
    (refused,) = deliver("x.zip", zipped({f"{number}.png": b"x" for number in range(10_000)}))
    assert "holds more than 2000 files" in refused.sentence
    assert Upload.objects.count() == 1


def test_too_much_altogether_is_refused(deliver: Take, settings: Any) -> None:
    settings.ARCHIVE_MAX_BYTES = 1000
    (refused,) = deliver("x.zip", zipped({"a": bytes(600), "b": bytes(600)}))
    assert "unpacks to more than" in refused.sentence


def test_what_is_refused_does_not_count_for_the_whole(deliver: Take, settings: Any) -> None:
    settings.ARCHIVE_MAX_BYTES = 10 * 2**20
    _, refused, good = deliver("x.zip", zipped({"bomb.png": bytes(40 * 2**20), "good.png": png()}))
    assert refused.outcome == Upload.Outcome.REJECTED
    assert good.outcome == Upload.Outcome.ACCEPTED


def test_clutter_is_left_out(deliver: Take) -> None:
    files = {"__MACOSX/._a.png": b"x", "a/.DS_Store": b"x", "DICOMDIR": b"x", "a/a.png": png()}
    first, *inner = deliver("x.zip", zipped(files))
    assert [upload.filename for upload in inner] == ["a.png"]
    assert first.sentence == "1 file unpacked."


def test_an_archive_as_others_write_it(deliver: Take) -> None:
    _, *inner = deliver("foreign.zip", foreign())
    assert {upload.filename: upload.kind for upload in inner} == FOREIGN


def test_a_csv_names_a_file_of_an_archive_from_windows(deliver: Take, submission: Submission) -> None:
    rows = "file;patient_reference\nMüller Röntgen.png;P-1\nJürg.png;P-2\n"
    deliver("foreign/labels.csv", rows.encode("cp1252"))
    deliver("foreign.zip", foreign())
    references = Study.objects.exclude(patient_reference="").values_list("patient_reference", flat=True)
    assert sorted(references) == ["P-1", "P-2"]


def test_a_member_without_a_name_is_no_error(deliver: Take) -> None:
    content = zipped({"n": png(shade=1), "b.png": png(shade=2)})
    nameless = content.replace(b"n", b"\0", 1)
    last = nameless.rindex(b"PK\x01\x02", 0, nameless.rindex(b"PK\x01\x02")) + 46
    _, one, other = deliver("x.zip", nameless[:last] + b"\0" + nameless[last + 1 :])
    assert other.outcome == Upload.Outcome.ACCEPTED
    assert one.filename == "x"


def test_folders_of_an_archive_are_studies(deliver: Take, submission: Submission) -> None:
    names = ["in/p1/a.png", "in/p1/b.png", "in/p2/c.png", "top.png"]
    deliver("x.zip", zipped({name: png(shade=20 + index) for index, name in enumerate(names)}))
    assert sorted(study.images.count() for study in Study.objects.all()) == [1, 1, 2]


def test_an_archive_stands_for_a_folder_of_its_name(deliver: Take) -> None:
    """As where the browser opens it: what lies in one folder of it is one study."""
    names = ["p1/a.png", "p1/b.png", "p2/c.png", "top.png", "top2.png"]
    deliver("x.ZIP", zipped({name: png(shade=30 + index) for index, name in enumerate(names)}))
    assert sorted(study.images.count() for study in Study.objects.all()) == [1, 1, 1, 2]


def test_nothing_is_left_on_the_disk_for_what_was_refused(deliver: Take) -> None:
    before = {path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}
    deliver("x.zip", zipped({"a.txt": b"hello", "../b.png": png(), "empty.png": b""}))
    assert {path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("code", ["too-large", "archive-files", "member-path", "member-damaged"])
def test_what_the_page_refuses_by_itself_is_kept_with_its_sentence(
    submission: Submission, client: Any, code: str
) -> None:
    client.force_login(submission.submitter)
    address = reverse("submission-uploads", args=[submission.clinic.slug, submission.pk])
    sent = {"key": "k", "path": "folder/big.zip", "size": "99999999", "refusal": code}
    answer = client.post(address, sent)
    assert answer.status_code == 201
    assert answer.json()["sentence"].startswith("Could not read big.zip: ")
    assert Upload.objects.get().size == 99999999
    assert client.post(address, sent | {"key": "l", "refusal": "because"}).status_code == 400
