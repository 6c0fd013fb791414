"""The CSV beside the files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.factories import PARTS, png
from tests.intake.bulk.conftest import Take, zipped
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.bulk.labels import Label, parse_labels
from xrayportal.intake.ingest import SubmissionClosedError
from xrayportal.intake.rejection import RejectedError
from xrayportal.intake.services import cancel_submission, finish_submission
from xrayportal.studies.models import Study, Submission, Upload

CSV = "file,patient_reference,body_part,priority\na.png,P-1,wrist,3\nsub/b.png,P-2,,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str) -> None:
    labels = parse_labels(CSV.replace("P-1", "Müller-7").encode(encoding), PARTS)
    assert labels["a.png"].label == Label("Müller-7", "wrist", 3)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_line_ends(delimiter: str) -> None:
    labels = parse_labels(CSV.replace(",", delimiter).replace("\n", "\r\n").encode(), PARTS)
    assert labels["sub/b.png"].label == Label("P-2")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "first line does not name the columns"),
        ("name,part\na.png,wrist\n", "first line does not name the columns"),
        ("file,colour\na.png,red\n", "first line does not name the columns"),
        ("file,patient\na.png,P-1\n", "remove the column patient"),
        ("file,body_part\na.png,chest\n", "the body part in line 2 is not known"),
        ("file,priority\na.png,1\nb.png,high\n", "the priority in line 3"),
        ("file,priority\na.png,99\n", "the priority in line 2"),
        ("file\na.png,extra\n", "line 2 does not fit"),
        ('file,priority\n"a.png,1\nb.png,2\n', "does not fit"),
        ("file,patient_reference\na.png," + "x" * 65 + "\n", "the patient reference in line 2"),
        ("file,patient_reference\na.png,P-1\nA.png,P-2\n", "line 3 says something else of A.png than line 2"),
        ("file,body_part\na.png,wrist\n\n.\\a.png,knee\n", "line 4 says something else of a.png than line 2"),
        ("sep=;\nfile;priority\na.png;high\n", "the priority in line 3"),
        ("file;patient_reference;;\na.png;P-1;;stray\n", "line 2 does not fit"),
        ("file,patient_reference,patient_reference\na.png,P-1,P-2\n", "does not name the columns"),
    ],
)
def test_a_wrong_csv_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_labels(text.encode(), PARTS)
    assert says in caught.value.sentence("labels.csv")
    assert caught.value.sentence("labels.csv").startswith("Could not read labels.csv: ")


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nfile;patient_reference\r\na.png;P-1\r\n",
        '"sep=|"\nfile|patient_reference\na.png|P-1\n',
        "SEP=\t\nfile\tpatient_reference\na.png\tP-1\n",
        "sep=,;;\nfile,patient_reference\na.png,P-1\n",
        "file;patient_reference;;\r\na.png;P-1;;\r\n;;;\r\n",
        "file,,patient_reference,\na.png,,P-1,\n",
        "\n\nfile;patient_reference\n\na.png;P-1\n",
        "sep= ; \nfile;patient_reference\na.png;P-1\n",
        "sep=\\t\nfile\tpatient_reference\na.png\tP-1\n",
        "sep=\nfile;patient_reference\na.png;P-1\n",
        "\ufeff\u200bFile,Patient-Reference\na.png,P-1\n\x1a",
        "file,patient_reference\na.png,P-1\na.png,P-1\n",
        "file,patient_reference,priority\na.png,P-1,\na.png,,0\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_spreadsheets_put_round_a_csv(text: str, encoding: str) -> None:
    rows = parse_labels(text.encode(encoding), PARTS)
    assert {name: row.label for name, row in rows.items()} == {"a.png": Label("P-1")}


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(RejectedError) as caught:
        parse_labels(b"file\0\0\x81\x8d", PARTS)
    assert "encoding" in caught.value.reason


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
