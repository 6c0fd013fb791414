"""Which DICOM objects are projection radiographs, by storage class and modality."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"

#: Storage classes that hold one projection, or anything (secondary capture: the modality decides).
_PROJECTIONS = frozenset(
    {
        COMPUTED_RADIOGRAPHY,
        *(
            f"{COMPUTED_RADIOGRAPHY}.{n}" for n in ("1", "1.1", "2", "2.1", "3", "3.1")
        ),  # digital, breast, teeth
        "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
        "1.2.840.10008.5.1.4.1.1.12.1",  # angiography
        "1.2.840.10008.5.1.4.1.1.12.2",  # fluoroscopy
    }
)
_PROJECTION_MODALITIES = frozenset(
    {"", "CR", "DX", "RG", "MG", "IO", "PX", "RF", "XA", "OT", "SC", "DR", "XR"}
)

#: Words for the commonest others, by modality.
_WORDS = {
    "CT": N_("a CT slice"),
    "MR": N_("an MR slice"),
    "US": N_("an ultrasound picture"),
    "PT": N_("a PET slice"),
    "NM": N_("a nuclear medicine picture"),
    "ES": N_("an endoscopy picture"),
    "SM": N_("a microscopy slide"),
    "XC": N_("a photograph"),
    "SR": N_("a report"),
    "DOC": N_("a document"),
    "PR": N_("a presentation state"),
    "KO": N_("a key object note"),
    "SEG": N_("a segmentation"),
    "ECG": N_("an ECG"),
    "RTIMAGE": N_("a radiotherapy picture"),
    "RTDOSE": N_("a radiotherapy dose"),
    "RTPLAN": N_("a radiotherapy plan"),
    "RTSTRUCT": N_("a radiotherapy structure set"),
}
_MODALITY_OF_CLASS = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}


def describe_other(*, sop_class: str, modality: str, is_index: bool) -> str:
    """What the object is, as a noun, where it is no projection radiograph; otherwise empty.

    Either of the two may be missing or wrong in real files: both must allow a projection.
    """
    if is_index:
        return _("an index of other files (DICOMDIR)")
    modality = modality.strip().upper()
    if modality not in _PROJECTION_MODALITIES:
        return _(_WORDS[modality]) if modality in _WORDS else _("another kind of DICOM object")
    if sop_class and sop_class not in _PROJECTIONS:
        known = _MODALITY_OF_CLASS.get(sop_class, "")
        return _(_WORDS[known]) if known else _("another kind of DICOM object")
    return ""
