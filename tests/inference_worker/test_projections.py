"""Projections and other DICOM objects: the intake refuses unknown kinds, the decoder only known others."""

from __future__ import annotations

import pytest

from inference_worker.projections import COMPUTED_RADIOGRAPHY, known_other, other_than_projection

CT_CLASS, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize("modality", ["CR", " dx ", "OT", ""])
@pytest.mark.parametrize("sop_class", [COMPUTED_RADIOGRAPHY, SECONDARY_CAPTURE, ""])
def test_a_projection_is_no_other_object(sop_class: str, modality: str) -> None:
    assert other_than_projection(sop_class=sop_class, modality=modality, is_index=False) == ""
    assert known_other(sop_class=sop_class, modality=modality, is_index=False) == ""


@pytest.mark.parametrize(
    ("sop_class", "modality", "is_index", "noun"),
    [
        (COMPUTED_RADIOGRAPHY, "CT", False, "a CT slice"),
        (CT_CLASS, "CR", False, "a CT slice"),
        (f"{CT_CLASS}.1", "", False, "a CT slice"),
        (SECONDARY_CAPTURE, "us", False, "an ultrasound picture"),
        (COMPUTED_RADIOGRAPHY, "CR", True, "an index of other files (DICOMDIR)"),
    ],
)
def test_other_objects_have_a_name(sop_class: str, modality: str, is_index: bool, noun: str) -> None:
    assert known_other(sop_class=sop_class, modality=modality, is_index=is_index) == noun
    assert other_than_projection(sop_class=sop_class, modality=modality, is_index=is_index) == noun


@pytest.mark.parametrize(("sop_class", "modality"), [("", "RTIMAGE"), ("1.2.3", "CR"), (f"{CT_CLASS}9", "")])
def test_only_the_strict_check_refuses_what_nobody_knows(sop_class: str, modality: str) -> None:
    assert known_other(sop_class=sop_class, modality=modality, is_index=False) == ""
    noun = other_than_projection(sop_class=sop_class, modality=modality, is_index=False)
    assert noun == "another kind of DICOM object"
