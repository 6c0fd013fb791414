"""One rule for the numbers of DICOM's grey pipeline, for the intake and the decoder.

Windows, rescale values and look-up tables come with decimal commas, with NaN and infinity, and with halves
missing. A comma is read as a point. What is no finite number is left out together with what depends on it:
of a window both values, of slope and intercept both and the window, which counts in their units.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from inference_worker import notes
from inference_worker.dicom_attributes import LUT_SEQUENCES, MODALITY_LUTS, SPACINGS, VOI_LUTS

_CENTER, _WIDTH, _SLOPE, _INTERCEPT = "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TEXT_TYPES = ("DS", "IS")
_BINARY_TYPES = ("FL", "FD", "US", "SS", "UL", "SL")
#: Bytes of a handful of numbers; more of them are damage, and each becomes an object.
LONGEST_VALUE = 4096

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def mend(dataset: Dataset) -> tuple[str, ...]:
    """Mend or remove the numbers of the grey pipeline in place; return the notes on what was left out.

    Call it before their values are used. Afterwards window centre and width are finite, of one length and
    usable with their function, slope and intercept are both there or neither, and the items of look-up
    tables have a descriptor of three numbers and data. The slope is not 0.
    """
    noted = []
    for keyword in (*SPACINGS, "PixelAspectRatio"):
        values = numbers(dataset, keyword)
        if None in values or len(values) != 2:
            _remove(dataset, keyword)
        elif values:
            _write(dataset, keyword, values)
    has_bad_modality = False
    for keyword in LUT_SEQUENCES:
        if _mend_luts(dataset, keyword):
            noted.append(notes.LUT_UNUSABLE)
            has_bad_modality = has_bad_modality or keyword == MODALITY_LUTS
    if MODALITY_LUTS in dataset:
        _remove(dataset, _SLOPE, _INTERCEPT)
    elif not _mend_rescale(dataset):
        noted.append(notes.RESCALE_UNUSABLE)
        has_bad_modality = True
    if has_bad_modality and MODALITY_LUTS not in dataset and _SLOPE not in dataset:
        _remove(dataset, _CENTER, _WIDTH, VOI_LUTS)
    elif not _mend_window(dataset):
        noted.append(notes.WINDOW_UNUSABLE)
    return tuple(dict.fromkeys(noted))


def numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """The values of an element, ``None`` for each that is no finite number; empty if there is none."""
    element = dataset.get_item(Tag(keyword))
    if element is None:
        return []
    if isinstance(element, RawDataElement):
        vr = element.VR or dictionary_VR(element.tag)
        if vr not in (*_TEXT_TYPES, *_BINARY_TYPES, "US or SS") or len(element.value or b"") > LONGEST_VALUE:
            return [None]
        if vr in _TEXT_TYPES:
            return _parsed((element.value or b"").decode("ascii", "replace"))
        element = dataset[keyword]
    elif element.VR not in (*_TEXT_TYPES, *_BINARY_TYPES):
        return [None]
    value = element.value
    if value is None or value == "":
        return []
    several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [_number(str(one)) for one in several]


def lut_descriptor(item: Dataset) -> tuple[int, int, int] | None:
    """Number of entries, first value mapped and bits of an entry; ``None`` if they are no three numbers."""
    try:
        entries, first, bits = (int(number) for number in item.LUTDescriptor)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return entries, first, bits


def voi_function(dataset: Dataset) -> str:
    """The window's function, one of `FUNCTIONS`."""
    function = str(dataset.get("VOILUTFunction") or "").strip().upper()
    return function if function in FUNCTIONS else FUNCTIONS[0]


def _mend_window(dataset: Dataset) -> bool:
    """Keep the pairs of which both halves are usable; whether none had to be left out."""
    centers, widths = numbers(dataset, _CENTER), numbers(dataset, _WIDTH)
    least = 1.0 if voi_function(dataset) == "LINEAR" else math.ulp(0.0)
    pairs = list(zip(centers, widths, strict=False))
    kept = [(center, width) for center, width in pairs if center is not None and width is not None]
    kept = [(center, width) for center, width in kept if width >= least]
    if kept:
        _write(dataset, _CENTER, [center for center, _ in kept])
        _write(dataset, _WIDTH, [width for _, width in kept])
    else:
        _remove(dataset, _CENTER, _WIDTH)
    is_stated = any(value is not None for value in (*centers, *widths)) or len(pairs) > 0
    return len(kept) == len(pairs) and bool(kept or not is_stated)


def _mend_rescale(dataset: Dataset) -> bool:
    """Keep slope and intercept if both are usable; whether nothing had to be left out."""
    slopes, intercepts = numbers(dataset, _SLOPE), numbers(dataset, _INTERCEPT)
    slope, intercept = (values[0] if values else None for values in (slopes, intercepts))
    if slope and intercept is not None:
        _write(dataset, _SLOPE, [slope])
        _write(dataset, _INTERCEPT, [intercept])
        return True
    _remove(dataset, _SLOPE, _INTERCEPT)
    # A half that changes nothing says as much as none.
    return (not slopes or slope == 1) and (not intercepts or intercept == 0)


def _mend_luts(dataset: Dataset, keyword: str) -> bool:
    """Leave out the items that are empty or cannot be used; whether one that was not empty is among them."""
    element = dataset.get_item(Tag(keyword))
    if element is None:
        return False
    if element.VR not in (None, "SQ"):
        _remove(dataset, keyword)
        return True
    items = list(dataset.get(keyword) or [])
    filled = [item for item in items if not (_is_empty(item, "LUTDescriptor") or _is_empty(item, "LUTData"))]
    kept = [item for item in filled if lut_descriptor(item) is not None]
    if kept:
        setattr(dataset, keyword, kept)
    else:
        _remove(dataset, keyword)
    return len(kept) < len(filled)


def _is_empty(item: Dataset, keyword: str) -> bool:
    element = item.get_item(Tag(keyword))
    return element is None or element.value is None or element.value in (b"", "", [])


def _parsed(text: str) -> list[float | None]:
    text = text.strip(" \x00\t\r\n")
    return [_number(one) for one in text.split("\\")] if text else []


def _number(text: str) -> float | None:
    text = text.strip(" \x00\t\r\n").replace(",", ".")
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def _write(dataset: Dataset, keyword: str, values: Sequence[Any]) -> None:
    """Write numbers anew where the file's own text is not what they are."""
    element = dataset.get_item(Tag(keyword))
    if isinstance(element, RawDataElement) and (element.VR is None or element.VR in _TEXT_TYPES):
        plain = (element.value or b"").replace(b"\x00", b"")
        if b"," not in plain and len(_parsed(plain.decode("ascii", "replace"))) == len(values):
            return
    elif len(numbers(dataset, keyword)) == len(values):
        return
    vr = "IS" if keyword == "PixelAspectRatio" and all(value == int(value) for value in values) else "DS"
    texts = [
        str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value) for value in values
    ]
    dataset[keyword] = DataElement(Tag(keyword), vr, texts if len(texts) > 1 else texts[0])


def _remove(dataset: Dataset, *keywords: str) -> None:
    for keyword in keywords:
        if keyword in dataset:
            del dataset[keyword]
