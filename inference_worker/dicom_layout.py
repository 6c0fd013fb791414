"""How the samples of a DICOM picture lie, for the intake and the decoder. Imports no decoder.

Many files leave out, empty or mistype what can be only one thing; `complete` states it. `is_decoded` tells
whether the samples are of a kind that is decoded, so that others are refused before they are stored.
"""

from __future__ import annotations

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from inference_worker.dicom_numbers import numbers

_ALLOCATED, _STORED = "BitsAllocated", "BitsStored"
_SAMPLES, _PLANAR, _SIGN = "SamplesPerPixel", "PlanarConfiguration", "PixelRepresentation"
_PHOTOMETRIC = "PhotometricInterpretation"
_WHOLE = ("Rows", "Columns", _SAMPLES, _PLANAR, _ALLOCATED, _STORED, "HighBit", _SIGN, "NumberOfFrames")
#: May lie below zero, in whichever type.
_SIGNED = ("PixelPaddingValue", "PixelPaddingRangeLimit")
_WORDS = (_PHOTOMETRIC, "VOILUTFunction")
_WHOLE_TYPES = ("US", "SS", "UL", "SL")

_PALETTE = "PALETTE COLOR"
_GREYS, _COLOURS = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PALETTE_KEYWORDS = tuple(
    f"{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("Descriptor", "Data")
)
_GREY_BITS, _COLOUR_BITS = (1, 8, 16, 32, 64), (8, 16)


def complete(dataset: Dataset) -> None:
    """State what is missing, empty or of another type, in place; words in capitals, numbers in their types.

    A number that counts nothing (no whole one, below zero, several) is removed.
    """
    for keyword in _WHOLE:
        _mend_whole(dataset, keyword, least=0)
    for keyword in _SIGNED:
        _mend_whole(dataset, keyword, least=-(2**31))
    for keyword in _WORDS:
        _mend_word(dataset, keyword)
    if not dataset.get(_SAMPLES):
        dataset.SamplesPerPixel = 1
    allocated, stored = dataset.get(_ALLOCATED), dataset.get(_STORED)
    if allocated and not (stored and stored <= allocated):
        dataset.BitsStored = allocated
    is_grey = dataset.SamplesPerPixel == 1
    if dataset.get(_SIGN) not in (0, 1) or not is_grey:  # colours have no sign
        dataset.PixelRepresentation = 0
    if is_grey and not dataset.get(_PHOTOMETRIC):
        dataset.PhotometricInterpretation = "MONOCHROME2"
    if not is_grey and dataset.get(_PLANAR) not in (0, 1):
        dataset.PlanarConfiguration = 0


def is_decoded(dataset: Dataset) -> bool:
    """Whether samples like these are decoded; ``dataset`` has passed `complete`."""
    photometric, samples = str(dataset.get(_PHOTOMETRIC) or ""), dataset.SamplesPerPixel
    if photometric == _PALETTE and not (samples == 1 and all(name in dataset for name in _PALETTE_KEYWORDS)):
        return False
    is_known = photometric in (*_GREYS, *_COLOURS, _PALETTE)
    allocated = dataset.get(_ALLOCATED)
    return is_known and (
        (samples == 1 and allocated in _GREY_BITS) or (samples == 3 and allocated in _COLOUR_BITS)
    )


def _mend_whole(dataset: Dataset, keyword: str, *, least: int) -> None:
    values, tag = numbers(dataset, keyword), Tag(keyword)
    value = values[0] if len(values) == 1 else None
    if value is None or value != int(value) or not least <= value < 2**32:
        if tag in dataset:
            del dataset[tag]
        return
    known, element = dictionary_VR(tag), dataset.get_item(tag)
    is_typed = element is not None and element.VR in (None, known, *_WHOLE_TYPES)
    if not is_typed or known == "IS":  # whose text may be no plain number
        dataset[tag] = DataElement(tag, "SL" if "or" in known else known, int(value))


def _mend_word(dataset: Dataset, keyword: str) -> None:
    value = dataset.get(keyword)
    if value is None:
        return
    first = value[0] if isinstance(value, MultiValue) else value
    word = str(first).strip(" \x00").upper()
    if word != value:
        dataset[keyword] = DataElement(Tag(keyword), "CS", word)
