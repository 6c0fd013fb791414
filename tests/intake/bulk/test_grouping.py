"""Which files are views of one study."""

from __future__ import annotations

import uuid

import pytest

from xrayportal.intake.bulk.grouping import Place, place

SUBMISSION = uuid.UUID(int=1)
ROOT = "MURA-v1.1/train/XR_WRIST/patient06359"


def key(path: str, choice: str = "folders") -> str:
    return place(path, choice, SUBMISSION).grouping_key


def test_mura_folders_are_patients_and_studies() -> None:
    one = place(f"{ROOT}/study1_positive/image1.png", "folders", SUBMISSION)
    assert one.patient_reference == "patient06359"
    assert one == place(f"{ROOT}/study1_positive/image2.png", "folders", SUBMISSION)
    assert one != place(f"{ROOT}/study2_negative/image1.png", "folders", SUBMISSION)


def test_a_flat_folder_is_a_pile_of_patients() -> None:
    assert place("pile/a.png", "folders", SUBMISSION) == Place()
    assert place("a.png", "folders", SUBMISSION) == Place()


def test_nested_folders_are_studies() -> None:
    assert key("pile/one/a.png") == key("pile/one/b.png") != ""
    assert key("pile/one/a.png") != key("pile/two/a.png")


def test_every_file_alone_if_the_sender_says_so() -> None:
    assert place(f"{ROOT}/study1_positive/image1.png", "files", SUBMISSION) == Place()


@pytest.mark.parametrize("path", ["pile/one/a.png", f"{ROOT}/study1_positive/image1.png"])
def test_keys_hold_within_one_submission_and_fit_the_column(path: str) -> None:
    other = place(path, "folders", uuid.UUID(int=2)).grouping_key
    assert key(path) != other
    assert len(other) <= 64
