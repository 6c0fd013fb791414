"""Folders and archives through the page: nested folders become studies, hostile files get a sentence each."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.test_accessibility import faults
from tests.factories import dicom, png
from tests.intake.bulk.conftest import FOREIGN, foreign, zipped
from tests.network import hold, intercept
from tests.submissions.uploads import SUBMISSION, UPLOADS, Enter, choose, choose_folder, drop
from xrayportal.studies.models import Study, Submission, Upload

NAMES = [
    "MURA/XR_WRIST/patient00001/study1_positive/image1.png",
    "MURA/XR_WRIST/patient00001/study1_positive/image2.png",
    "MURA/XR_WRIST/patient00002/study1_negative/image1.png",
    "monday/left.png",
    "monday/right.png",
    "alone.png",
]
LABELS = b"file,patient_reference,body_part\nmonday/left.png,NH-7,knee\nalone.png,NH-8,\n"
#: References and numbers of views of the studies that these become.
STUDIES = [("NH-7", 2), ("NH-8", 1), ("patient00001", 2), ("patient00002", 1)]


def contents() -> dict[str, bytes]:
    """Pictures in nested folders, a CSV about them, and the hidden files of operating systems."""
    files = {name: png(text=f"{number:04}") for number, name in enumerate(NAMES)}
    return {
        **files,
        "monday/.DS_Store": b"x",
        "Thumbs.db": b"x",
        "__MACOSX/monday/._left.png": b"x",
        "labels.csv": LABELS,
    }


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """The same files in a folder on the disk."""
    for name, content in contents().items():
        path = tmp_path / "week" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "week"


def studies() -> list[tuple[str, int]]:
    return sorted((study.patient_reference, study.images.count()) for study in Study.objects.all())


def assert_nested_folders_became_studies(page: Page) -> None:
    expect(page).to_have_url(SUBMISSION)
    assert studies() == STUDIES
    assert Study.objects.get(patient_reference="NH-7").stated_body_part == "knee"
    assert Submission.objects.get().expected_files == 7
    assert Upload.objects.count() == 7
    expect(page.get_by_role("heading", name="week", exact=True)).to_be_visible()


def test_a_chosen_folder(enter: Enter, week: Path) -> None:
    page = enter("upload/")
    choose_folder(page, week)
    assert_nested_folders_became_studies(page)


def test_a_dropped_folder(enter: Enter, week: Path) -> None:
    page = enter("")  # anywhere in the portal that takes files: here the worklist
    intercept(page, UPLOADS, hold)  # with the last answer the page goes on to the submission
    drop(page, [week])
    expect(page.get_by_role("dialog", name="Upload")).to_be_visible()
    page.unroute(UPLOADS)  # lets what was held go on
    assert_nested_folders_became_studies(page)


def test_a_dropped_archive(enter: Enter, tmp_path: Path) -> None:
    page = enter("upload/")
    (tmp_path / "week.zip").write_bytes(zipped(contents()))
    drop(page, [tmp_path / "week.zip"])
    assert_nested_folders_became_studies(page)


def test_an_archive_as_others_write_it(enter: Enter) -> None:
    """The page opens it by the same rules as the portal."""
    page = enter("upload/")
    rows = "file;patient_reference\nMüller Röntgen.png;P-1\nJürg.png;P-2\n"
    choose(
        page,
        [
            {"name": "foreign.zip", "mimeType": "application/zip", "buffer": foreign()},
            {"name": "labels.csv", "mimeType": "text/csv", "buffer": rows.encode("cp1252")},
        ],
    )
    expect(page).to_have_url(SUBMISSION)
    inner = Upload.objects.exclude(outcome=Upload.Outcome.APPLIED)
    assert {upload.filename: upload.kind for upload in inner} == FOREIGN
    assert Upload.objects.get(filename="labels.csv").sentence == "Gives details for 2 files."
    references = Study.objects.exclude(patient_reference="").values_list("patient_reference", flat=True)
    assert sorted(references) == ["P-1", "P-2"]


def test_every_file_is_a_study_if_the_person_says_so(enter: Enter, week: Path) -> None:
    page = enter("upload/")
    page.get_by_label("Grouping").select_option("files")
    choose_folder(page, week)
    expect(page).to_have_url(SUBMISSION)
    assert [views for _reference, views in studies()] == [1] * 6


def hostile() -> bytes:
    """An archive with one good picture, one good DICOM file, and one of each kind that must be rejected."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.png", png(text="good"))
        archive.writestr("good.dcm", dicom())
        archive.writestr("inner.zip", zipped({"a.png": png()}))
        archive.writestr("bomb.png", bytes(40 * 2**20))
        archive.writestr("../out.png", png())
        link = zipfile.ZipInfo("link.png")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("lying.png", bytes(5000))
        archive.writestr("secret.png", png())
    content = bytearray(out.getvalue()).replace(struct.pack("<L", 5000), struct.pack("<L", 100))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the last member's entry: "encrypted"
    return bytes(content)


SENTENCES = {
    "inner.zip": "it is an archive inside the archive. Unpack it first.",
    "bomb.png": "it unpacks to far more than a radiograph does. Check the archive.",
    "out.png": "its path leads out of the archive. Make the archive again from a plain folder.",
    "link.png": "it is a link, not a file. Put the file itself into the archive.",
    "lying.png": "it is damaged inside the archive. Make the archive again.",
    "secret.png": "it is encrypted. Make the archive again without a password.",
    "cut.zip": "the archive is damaged or cut short. Make the archive again.",
    "many.zip": "the archive holds more than 2000 files. Split it, or send the folder itself.",
}


def test_what_is_hostile_is_a_sentence_each_and_the_rest_goes_on(enter: Enter) -> None:
    page = enter("upload/")

    def hold_one(route: Route, request: Request) -> None:
        is_beside = b'filename="beside.png"' in (request.post_data_buffer or b"")
        if not is_beside:
            route.continue_()

    intercept(page, UPLOADS, hold_one)
    files = {
        "hostile.zip": hostile(),
        "cut.zip": zipped({"a.png": png(), "b.png": png()})[:-40],
        "many.zip": zipped({f"{number}.png": b"x" for number in range(2001)}),
        "beside.png": png(text="next"),
    }
    choose(
        page,
        [
            {"name": name, "mimeType": "application/octet-stream", "buffer": content}
            for name, content in files.items()
        ],
    )
    lines = page.locator("[data-failures] li")
    expect(lines).to_have_count(len(SENTENCES))
    sentences = sorted(lines.all_inner_texts())
    assert sentences == sorted(f"Could not read {name}: {words}" for name, words in SENTENCES.items())
    assert list(faults(page)) == []  # a page that the visits of test_accessibility do not find
    page.unroute(UPLOADS)  # lets what was held go on
    expect(page).to_have_url(SUBMISSION)
    rows = page.locator("#progress tbody")
    for line in sentences:
        expect(rows).to_contain_text(line)
    accepted = Upload.objects.filter(outcome="accepted").values_list("filename", flat=True)
    assert sorted(accepted) == ["beside.png", "good.dcm", "good.png"]
    assert Upload.objects.count() == len(SENTENCES) + 3
