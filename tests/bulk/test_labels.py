"""The CSV beside the files."""

from __future__ import annotations

import pytest

from tests.bulk.conftest import Take, zipped
from tests.factories import PARTS, png
from xrayportal.studies.bulk.labels import Label, label_for, read_labels
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.studies.rejection import RejectedError

TABLE = "file,patient_reference,body_part,priority\na.png,P-1,wrist,3\nsub/b.png,P-2,,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str) -> None:
    labels = read_labels(TABLE.replace("P-1", "Müller-7").encode(encoding), PARTS)
    assert labels["a.png"] == Label("Müller-7", "wrist", 3)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_line_ends(delimiter: str) -> None:
    labels = read_labels(TABLE.replace(",", delimiter).replace("\n", "\r\n").encode(), PARTS)
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
def test_a_wrong_table_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(RejectedError) as caught:
        read_labels(text.encode(), PARTS)
    assert says in caught.value.sentence("labels.csv")
    assert caught.value.sentence("labels.csv").startswith("Could not read labels.csv: ")


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(RejectedError) as caught:
        read_labels(b"file\0\0\x81\x8d", PARTS)
    assert "encoding" in caught.value.reason


def test_a_label_is_found_by_path_then_by_name() -> None:
    labels = {"b.png": {"patient_reference": "bare"}, "x/b.png": {"patient_reference": "whole"}}
    assert label_for("x/B.png", labels).patient_reference == "whole"
    assert label_for("y/b.png", labels).patient_reference == "bare"
    assert label_for("c.png", labels) == Label()


def test_labels_reach_the_studies(deliver: Take, submission: Submission) -> None:
    (said,) = deliver("labels.csv", TABLE.encode())
    assert said.outcome == Upload.Outcome.READ
    deliver("a.png", png(shade=5))
    study = Study.objects.get()
    assert (study.patient_reference, study.stated_part, study.priority) == ("P-1", "wrist", 3)
    assert study.analyses.get().forced_part == "wrist"


def test_a_csv_anywhere_in_an_archive_counts_for_all_its_files(deliver: Take) -> None:
    deliver("x.zip", zipped({"a.png": png(shade=6), "z/labels.csv": TABLE.encode()}))
    assert Study.objects.get().patient_reference == "P-1"


def test_a_bad_csv_spoils_no_picture(deliver: Take) -> None:
    _, refused, taken = deliver("x.zip", zipped({"labels.csv": b"colour\nred\n", "a.png": png(shade=7)}))
    assert refused.outcome == Upload.Outcome.REJECTED
    assert taken.outcome == Upload.Outcome.ACCEPTED
