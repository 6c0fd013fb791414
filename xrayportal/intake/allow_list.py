"""The DICOM attributes that are kept or looked at, each only in the types that it can honestly have.

Files state the type of every element themselves. Under the tag of a window one can hold a sequence with
a patient in it, or a sentence: what has another type than its tag says is no window, and goes.
"""

from __future__ import annotations

import re

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue

#: Numbers of public meaning, copied as they are.
NUMBERS = (
    *("SamplesPerPixel", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SmallestImagePixelValue", "LargestImagePixelValue", "PixelAspectRatio"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "PixelIntensityRelationshipSign"),
    *("WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *("EstimatedRadiographicMagnificationFactor", "LossyImageCompressionRatio"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
)
#: Words of code lists: kept only where they look like one (capitals, digits, at most 16 characters).
CODES = (
    *("Modality", "PhotometricInterpretation", "BodyPartExamined", "ViewPosition", "Laterality"),
    *("ImageLaterality", "PatientOrientation", "VOILUTFunction", "PresentationLUTShape"),
    *("PixelIntensityRelationship", "LossyImageCompression", "LossyImageCompressionMethod"),
    *("BurnedInAnnotation", "RescaleType"),
)
TABLES = ("ModalityLUTSequence", "VOILUTSequence")
TABLE_PARTS = ("LUTDescriptor", "LUTData", "ModalityLUTType")
PIXELS = "PixelData"
#: Read and replaced by pseudonyms, or looked at only: of these no value is copied, whatever its type.
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID")
_LOOKED_AT = ("NumberOfFrames", "DirectoryRecordSequence")


def _tags(*keywords: str) -> list[int]:
    return [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]


READ = _tags(*NUMBERS, *CODES, *TABLES, *_IDENTIFIERS, *_LOOKED_AT, PIXELS)
#: Those that may be long.
TABLE_TAGS = frozenset(
    _tags(*TABLES, *TABLE_PARTS, *(name for name in NUMBERS if name.endswith("TableData")))
)

#: Those of a handful of values.
FEW_TAGS = frozenset(_tags(*NUMBERS, *CODES)) - TABLE_TAGS

_WHOLE = frozenset({"US", "SS", "UL", "SL"})
_REAL = _WHOLE | {"IS", "DS", "FL", "FD"}
_BYTES = frozenset({"OB", "OW", "US", "SS", "UN"})
_WORD = frozenset({"CS", "LO", "SH"})
#: By the type that the dictionary gives: real files take a wider one now and then.
_FAMILIES = {
    **dict.fromkeys(("US", "SS", "US or SS"), _WHOLE),
    **dict.fromkeys(("IS", "DS"), _REAL),
    **dict.fromkeys(("OW", "US or OW", "OB or OW"), _BYTES),
    **dict.fromkeys(_WORD, _WORD),
    "SQ": frozenset({"SQ"}),
}
_CHECKED = _tags(*NUMBERS, *CODES, *TABLES, *TABLE_PARTS, "NumberOfFrames", PIXELS)
_ALLOWED = {tag: _FAMILIES[known] | {known} for tag in _CHECKED for known in (dictionary_VR(tag),)}

_CODE = re.compile(r"[A-Z0-9_ ]{1,16}", re.ASCII)
#: Patient orientation has two; one code list after another could spell a sentence.
_MOST_CODES = 2


def drop_mistyped(dataset: Dataset) -> None:
    """Remove what is listed here but has a type that its tag does not have, in the items of tables too."""
    for tag, allowed in _ALLOWED.items():
        if tag in dataset and not _is_honest(dataset[tag], allowed):
            del dataset[tag]
    for keyword in TABLES:
        for item in dataset.get(keyword) or ():
            drop_mistyped(item)


def is_code(value: object) -> bool:
    """Whether a value, or each of the few that it consists of, looks like a word of a code list."""
    words = _values(value)
    return len(words) <= _MOST_CODES and all(
        isinstance(word, str) and _CODE.fullmatch(word) is not None for word in words
    )


def _is_honest(element: DataElement, allowed: frozenset[str]) -> bool:
    if element.VR not in allowed:
        return False
    # Numbers that are written in letters: what is no number, the reader leaves as it found it.
    return element.VR not in ("DS", "IS") or not any(isinstance(one, str) for one in _values(element.value))


def _values(value: object) -> list[object]:
    return list(value) if isinstance(value, MultiValue) else [value]
