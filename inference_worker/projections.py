"""Which DICOM objects are projection radiographs, by storage class (0008,0016) and modality (0008,0060).

Both the intake, which stores only projections, and the decoder ask here. Imports no decoder.
"""

from __future__ import annotations

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"

#: Storage classes that hold one projection, or anything (secondary capture: the modality decides). Empty:
#: real files lack them now and then, and the other one decides.
PROJECTION_CLASSES = frozenset(
    {
        "",
        COMPUTED_RADIOGRAPHY,
        # Digital radiography, mammography and intra-oral radiography, for presentation and for processing.
        *(f"{COMPUTED_RADIOGRAPHY}.{number}" for number in ("1", "1.1", "2", "2.1", "3", "3.1")),
        "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
        "1.2.840.10008.5.1.4.1.1.12.1",  # angiography
        "1.2.840.10008.5.1.4.1.1.12.2",  # fluoroscopy
    }
)
_PROJECTION_MODALITIES = frozenset(
    {"", "CR", "DX", "RG", "MG", "IO", "PX", "RF", "XA", "OT", "SC", "DR", "XR"}
)

#: Modalities that are no projection radiograph, as a noun for a sentence.
_OTHER_MODALITIES = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "US": "an ultrasound picture",
    "IVUS": "an ultrasound picture",
    "BDUS": "an ultrasound picture",
    "PT": "a PET slice",
    "NM": "a nuclear medicine picture",
    "OCT": "an optical coherence tomography",
    "OPT": "an optical coherence tomography",
    "OP": "an eye photograph",
    "ES": "an endoscopy picture",
    "GM": "a microscopy picture",
    "SM": "a microscopy slide",
    "XC": "a photograph",
    "SEG": "a segmentation",
    "RTDOSE": "a radiotherapy dose",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
    "SR": "a report",
    "DOC": "a document",
    "PR": "a presentation state",
    "KO": "a key object note",
    "ECG": "an ECG",
    "EPS": "an electrophysiology recording",
    "HD": "a haemodynamic recording",
    "AU": "a sound recording",
    "REG": "a registration",
}
#: Storage classes by the start of their UID, for files whose modality was removed or is wrong.
_OTHER_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": _OTHER_MODALITIES["CT"],
    "1.2.840.10008.5.1.4.1.1.4": _OTHER_MODALITIES["MR"],
    "1.2.840.10008.5.1.4.1.1.6": _OTHER_MODALITIES["US"],
    "1.2.840.10008.5.1.4.1.1.20": _OTHER_MODALITIES["NM"],
    "1.2.840.10008.5.1.4.1.1.128": _OTHER_MODALITIES["PT"],
    "1.2.840.10008.5.1.4.1.1.130": _OTHER_MODALITIES["PT"],
    "1.2.840.10008.5.1.4.1.1.13.1.1": "an X-ray 3D volume",
    "1.2.840.10008.5.1.4.1.1.13.1.2": "an X-ray 3D volume",
    "1.2.840.10008.5.1.4.1.1.13.1.3": "a breast tomosynthesis",
}
_INDEX = "an index of other files (DICOMDIR)"
_UNKNOWN = "another kind of DICOM object"


def known_other(*, sop_class: str, modality: str, is_index: bool) -> str:
    """Name an object that is certainly no projection radiograph, as an English noun; otherwise empty.

    ``sop_class`` and ``modality`` are the file's own, empty where it lacks them. ``is_index``: it holds
    directory records.
    """
    if is_index:
        return _INDEX
    for start, noun in _OTHER_CLASSES.items():
        if sop_class == start or sop_class.startswith(f"{start}."):
            return noun
    return _OTHER_MODALITIES.get(_code(modality), "")


def other_than_projection(*, sop_class: str, modality: str, is_index: bool) -> str:
    """Name any object but a known kind of projection radiograph, with the arguments of `known_other`.

    Either of the two may be wrong in real files: both must allow a projection.
    """
    noun = known_other(sop_class=sop_class, modality=modality, is_index=is_index)
    if noun:
        return noun
    is_allowed = _code(modality) in _PROJECTION_MODALITIES and sop_class in PROJECTION_CLASSES
    return "" if is_allowed else _UNKNOWN


def _code(modality: str) -> str:
    return modality.strip().upper()
