"""The objects that go back: valid by dciodvfy, filed in the original study, with the notice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests.dicom.peers import needs_peers
from tests.dicom.worlds import returned_study
from xrayportal.analyses.models import Analysis, Finding, Reason
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.results.capture import secondary_captures
from xrayportal.dicom.results.presentation import presentation_states
from xrayportal.dicom.results.report import structured_report
from xrayportal.dicom.results.views import result_of

pytestmark = needs_peers


def saved(made: Dataset, folder: Path) -> Path:
    path = folder / f"{made.SOPInstanceUID}.dcm"
    made.save_as(path, enforce_file_format=True)
    return path


def errors(path: Path) -> list[str]:
    """What dciodvfy calls an error."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


MODALITIES = {
    "abnormal": ["OT", "OT", "SR", "PR", "PR"],
    "normal": ["OT", "OT", "SR"],  # no region to point at
    "unsupported": ["SR"],
}


@pytest.mark.parametrize("verdict", MODALITIES)
def test_every_object_is_valid_and_of_the_original_study(
    clinic: Clinic, tmp_path: Path, verdict: str
) -> None:
    uids = {"study_uid": generate_uid(), "SeriesInstanceUID": generate_uid()}
    study = returned_study(clinic, verdict=verdict, views=2, **uids)
    assert study.current is not None
    result = result_of(study.current, signed_verdict="normal")
    made = [*secondary_captures(result), structured_report(result), *presentation_states(result)]
    assert [one.Modality for one in made] == MODALITIES[verdict]
    for one in made:
        path = saved(one, tmp_path)
        assert errors(path) == []
        read = dcmread(path)
        assert read.StudyInstanceUID == uids["study_uid"]
        assert read.SeriesInstanceUID != uids["SeriesInstanceUID"]
        assert (read.PatientID, read.PatientName, read.AccessionNumber) == (
            "PID-4711",
            "Mustermann^Erika",
            "ACC-90210",
        )
        assert "research" in path.read_bytes().decode("latin-1").lower()


def test_the_same_result_makes_the_same_objects(clinic: Clinic) -> None:
    study = returned_study(clinic)
    assert study.current is not None

    def made() -> list[str]:
        result = result_of(study.current, signed_verdict="")  # type: ignore[arg-type]
        objects = [*secondary_captures(result), structured_report(result), *presentation_states(result)]
        return [str(one) for one in objects]

    assert made() == made()


def test_a_leaning_is_told_and_a_map_that_says_nothing_is_not_drawn(clinic: Clinic) -> None:
    study = returned_study(clinic)
    assert study.current is not None
    Finding.objects.update(verdict="uncertain", leaning="towards_abnormal", location="weak")
    Analysis.objects.update(verdict="uncertain", leaning="towards_abnormal")
    result = result_of(Analysis.objects.get(), signed_verdict="")
    assert "Indeterminate, towards present" in str(structured_report(result))
    assert "only a hint" in str(presentation_states(result)[0])
    Finding.objects.update(location="none")
    result = result_of(Analysis.objects.get(), signed_verdict="")
    assert presentation_states(result) == []
    assert "POLYLINE" not in str(structured_report(result))
    assert len(secondary_captures(result)) == 1


def test_what_is_not_judged_says_so(clinic: Clinic) -> None:
    returned_study(clinic)
    silent = {"verdict": "uncertain", "leaning": "", "probability": None, "reason": Reason.values[0]}
    Finding.objects.update(**silent, trust=None, map_file="", overlay_file="")
    Analysis.objects.update(**silent)
    result = result_of(Analysis.objects.get(), signed_verdict="")
    assert secondary_captures(result) == presentation_states(result) == []
    assert "Not judged" in str(structured_report(result))
