"""The CSV beside the files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.factories import PARTS, png
from tests.intake.bulk.conftest import Take, zipped
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.bulk.labels import Label, as_json, label_for, parse_labels
from xrayportal.intake.ingest import SubmissionClosedError
from xrayportal.intake.rejection import RejectedError
from xrayportal.intake.services import cancel_submission, finish_submission
from xrayportal.studies.models import Study, Submission, Upload

CSV = "file,patient_reference,body_part,priority\na.png,P-1,wrist,3\nsub/b.png,P-2,,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str) -> None:
    labels = parse_labels(CSV.replace("P-1", "Müller-7").encode(encoding), PARTS)
    assert labels["a.png"] == Label("Müller-7", "wrist", 3)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_line_ends(delimiter: str) -> None:
    labels = parse_labels(CSV.replace(",", delimiter).replace("\n", "\r\n").encode(), PARTS)
    assert labels["sub/b.png"] == Label("P-2")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "first line does not name the columns"),
        ("name,part\na.png,wrist\n", "first line does not name the columns"),
        ("file,colour\na.png,red\n", "first line does not name the columns"),
        ("file,body_part\na.png,chest\n", "the body part in line 2 is not known"),
        ("file,priority\na.png,1\nb.png,high\n", "the priority in line 3"),
        ("file,priority\na.png,99\n", "the priority in line 2"),
        ("file\na.png,extra\n", "line 2 does not fit"),
        ("file,patient_reference\na.png," + "x" * 65 + "\n", "the patient reference in line 2"),
    ],
)
def test_a_wrong_csv_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_labels(text.encode(), PARTS)
    assert says in caught.value.sentence("labels.csv")
    assert caught.value.sentence("labels.csv").startswith("Could not read labels.csv: ")


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(RejectedError) as caught:
        parse_labels(b"file\0\0\x81\x8d", PARTS)
    assert "encoding" in caught.value.reason


def kept(**csvs: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What a submission keeps of CSVs: ``kept(top__x={"b.png": "P-1"})`` is one that lay in ``top/x``."""
    labels: dict[str, dict[str, Any]] = {}
    for folder, rows in csvs.items():
        place = "/".join([*folder.split("__"), "labels.csv"]) if folder != "here" else "labels.csv"
        labels |= as_json({name: Label(reference) for name, reference in rows.items()}, place)
    return labels


@pytest.mark.parametrize("path", ["b.png", "x/B.png", "Top/x/b.png"])
def test_a_csv_on_its_own_names_a_file_by_the_end_of_its_path(path: str) -> None:
    assert label_for(path, kept(here={"b.png": "bare"})).patient_reference == "bare"
    labels = kept(here={"b.png": "bare"} | {path.lower(): "whole"})
    assert label_for(path, labels).patient_reference == "whole"
    assert label_for("c.png", kept(here={"b.png": "bare"})) == Label()


def test_a_csv_in_a_folder_names_files_from_there() -> None:
    labels = kept(top={"x/b.png": "from there", "top/y/b.png": "from above"})
    assert label_for("top/x/b.png", labels).patient_reference == "from there"
    assert label_for("top/y/b.png", labels).patient_reference == "from above"
    assert label_for("top/z/b.png", labels) == Label()


def test_each_folder_may_have_a_csv_of_its_own() -> None:
    labels = kept(top__x={"image1.png": "P-1"}, top__y={"image1.png": "P-2"}, top={"image1.png": "P-3"})
    assert label_for("top/x/image1.png", labels).patient_reference == "P-1"
    assert label_for("top/y/image1.png", labels).patient_reference == "P-2"
    assert label_for("top/z/image1.png", labels).patient_reference == "P-3"


def test_a_csv_says_nothing_of_files_beside_its_folder() -> None:
    """The reference of another patient would be worse than none."""
    assert label_for("top/y/image1.png", kept(top__x={"image1.png": "P-1"})) == Label()


def test_a_file_in_endless_folders_is_known_by_its_whole_path() -> None:
    path = "f/" * 400 + "a.png"
    assert label_for(path, kept(here={"a.png": "bare"})) == Label()
    assert label_for(path, kept(here={path: "whole"})).patient_reference == "whole"


def test_labels_reach_the_studies(deliver: Take, submission: Submission) -> None:
    (upload,) = deliver("labels.csv", CSV.encode())
    assert upload.outcome == Upload.Outcome.APPLIED
    deliver("a.png", png(shade=5))
    study = Study.objects.get()
    assert (study.patient_reference, study.stated_body_part, study.priority) == ("P-1", "wrist", 3)
    assert study.analyses.get().forced_body_part == "wrist"


def test_a_csv_in_an_archive_counts_for_what_lies_below_it(deliver: Take) -> None:
    files = {"z/a.png": png(shade=6), "z/sub/b.png": png(shade=7), "a.png": png(shade=8)}
    deliver("x.zip", zipped({**files, "z/labels.csv": CSV.encode()}))
    references = {
        study.images.get().uploads.get().sentence or study.patient_reference for study in Study.objects.all()
    }
    assert references == {"P-1", "P-2", ""}


def test_a_bad_csv_spoils_no_picture(deliver: Take) -> None:
    _, refused, taken = deliver("x.zip", zipped({"labels.csv": b"colour\nred\n", "a.png": png(shade=7)}))
    assert refused.outcome == Upload.Outcome.REJECTED
    assert taken.outcome == Upload.Outcome.ACCEPTED


@pytest.mark.parametrize("end", [finish_submission, cancel_submission])
def test_what_a_csv_says_is_kept_no_longer_than_files_come(
    deliver: Take, submission: Submission, end: Callable[..., None]
) -> None:
    (upload,) = deliver("labels.csv", CSV.encode())
    submission.refresh_from_db()
    assert submission.labels
    end(submission=submission, actor=PORTAL)
    assert deliver("labels.csv", CSV.encode()) == [upload]  # a repeated request is still answered
    with pytest.raises(SubmissionClosedError):
        deliver("late.csv", CSV.encode())
    submission.refresh_from_db()
    assert submission.labels == {}
