"""The DICOM attributes that de-identification copies or looks at, each only with a type of its own.

Files state the type of every element themselves. Under the tag of a window one can hold a sequence with
a patient in it, or a sentence. An element whose type is not its tag's is removed.
"""

from __future__ import annotations

import re

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue

from inference_worker.dicom_attributes import CODES, LUT_ATTRIBUTES, LUT_SEQUENCES, NUMBERS, PIXELS

#: Replaced by pseudonyms: no value is copied, whatever its type.
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID")
#: Looked at, to refuse what is not one projection.
_KINDS = ("NumberOfFrames", "DirectoryRecordSequence")


def _tags(*keywords: str) -> list[int]:
    return [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]


#: Everything that is loaded of a file.
LOADED_TAGS = _tags(*NUMBERS, *CODES, *LUT_SEQUENCES, *_IDENTIFIERS, *_KINDS, *PIXELS)
#: Look-up tables and their sequences, which may be long.
LUT_TAGS = frozenset(
    _tags(*LUT_SEQUENCES, *LUT_ATTRIBUTES, *(name for name in NUMBERS if name.endswith("TableData")))
)
#: Elements of a handful of values.
SHORT_TAGS = frozenset(_tags(*NUMBERS, *CODES)) - LUT_TAGS

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
    **{known: frozenset({known}) for known in ("SQ", "OF", "OD")},
}
_CHECKED = _tags(*NUMBERS, *CODES, *LUT_SEQUENCES, *LUT_ATTRIBUTES, "NumberOfFrames", *PIXELS)
_TYPES = {tag: _FAMILIES[known] | {known} for tag in _CHECKED for known in (dictionary_VR(tag),)}

#: What a word of a code list looks like: capitals and digits, at most 16 characters.
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}", re.ASCII)
#: Patient orientation has two words; more of them could spell a sentence.
_MOST_CODES = 2


def drop_mistyped(dataset: Dataset) -> None:
    """Remove the elements listed here whose type their tag does not have, also from the items of LUTs."""
    for tag, types in _TYPES.items():
        if tag in dataset and not _is_typed(dataset[tag], types):
            del dataset[tag]
    for keyword in LUT_SEQUENCES:
        for item in dataset.get(keyword) or ():
            drop_mistyped(item)


def is_code(value: object) -> bool:
    """Whether a value, or each of the few in it, looks like a word of a code list."""
    words = _values(value)
    return len(words) <= _MOST_CODES and all(
        isinstance(word, str) and _CODE.fullmatch(word) is not None for word in words
    )


def _is_typed(element: DataElement, types: frozenset[str]) -> bool:
    if element.VR not in types:
        return False
    # Numbers that are written in letters: pydicom leaves what is no number as the text it is.
    return element.VR not in ("DS", "IS") or not any(isinstance(one, str) for one in _values(element.value))


def _values(value: object) -> list[object]:
    return list(value) if isinstance(value, MultiValue) else [value]
