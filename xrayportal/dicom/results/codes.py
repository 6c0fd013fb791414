"""Codes of findings, verdicts and body parts: SNOMED CT and DICOM's own, as PS3.16 has them."""

from __future__ import annotations

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from xrayportal.analyses.models import Leaning, Verdict
from xrayportal.words.verdicts import NOT_JUDGED

#: What has no code in SNOMED CT or DICOM gets one of ours.
_OURS = "99XRAYPORTAL"

_ABNORMAL: Code = codes.SCT.Abnormal
#: By the code of a bundle's target.
_TARGETS = {"fracture": Code("125605004", "SCT", "Fracture of bone")}
_BODY_PARTS: dict[str, Code] = {
    "hand": codes.SCT.Hand,
    "finger": codes.SCT.Finger,
    "wrist": codes.SCT.WristJoint,
    "forearm": codes.SCT.Forearm,
    "elbow": codes.SCT.ElbowJoint,
    "humerus": codes.SCT.Humerus,
    "shoulder": codes.SCT.Shoulder,
    "hip": codes.SCT.HipJoint,
    "femur": codes.SCT.Femur,
    "knee": codes.SCT.Knee,
    "tibia": codes.SCT.Tibia,
    "ankle": codes.SCT.AnkleJoint,
    "foot": codes.SCT.Foot,
}
_LATERALITIES: dict[str, Code] = {"L": codes.SCT.Left, "R": codes.SCT.Right}
#: Whether the target is there, by the outcome of a result (``analyses.outcomes``) or the verdict of readers.
_VERDICTS: dict[str, Code] = {
    Verdict.NORMAL: codes.SCT.Absent,
    Verdict.ABNORMAL: Code("52101004", "SCT", "Present"),
    Verdict.UNCERTAIN: codes.SCT.Indeterminate,
    Leaning.TOWARDS_NORMAL: Code("towards-absent", _OURS, "Indeterminate, towards absent"),
    Leaning.TOWARDS_ABNORMAL: Code("towards-present", _OURS, "Indeterminate, towards present"),
    NOT_JUDGED: Code("not-judged", _OURS, "Not judged: the model tells too little for this body part"),
    Verdict.UNSUPPORTED: Code("not-analysed", _OURS, "Not analysed: outside what the model can read"),
}

PROCEDURE = Code("168537006", "SCT", "Plain radiography")
PROBABILITY = codes.DCM.Probability
LOWER_THRESHOLD = Code("threshold-low", _OURS, "Probability below which the model reports absence")
UPPER_THRESHOLD = Code("threshold-high", _OURS, "Probability from which the model reports presence")
MODEL_VERDICT = Code("model-verdict", _OURS, "Verdict of the model")
SIGNED_VERDICT = Code("signed-verdict", _OURS, "Verdict signed by readers")
BODY_PART_BY_MODEL = Code("body-part", _OURS, "Body part found by the model")
USE = Code("use", _OURS, "Permitted use")
RESEARCH_USE = Code("research-use", _OURS, "Research use only. Not a diagnosis.")
ONE = codes.UCUM.NoUnits


def target_code(code: str) -> Code:
    """The finding that the model looks for."""
    return _TARGETS.get(code, _ABNORMAL)


def verdict_code(outcome: str) -> Code:
    """Whether the finding is there, by the outcome of a result or the verdict of readers."""
    return _VERDICTS[outcome]


def body_part_code(body_part: str) -> Code | None:
    """A body part, by a bundle's word for it; None for one without a code."""
    return _BODY_PARTS.get(body_part)


def laterality_code(letter: str) -> Code | None:
    """The side, by DICOM's letter; None where it is not left or right."""
    return _LATERALITIES.get(letter)
