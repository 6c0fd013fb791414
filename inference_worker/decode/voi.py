"""DICOM's grey pipeline: stored values → modality values → values of interest → 8-bit display.

PS3.3 C.11.1 (modality LUT, rescale), C.11.2 (VOI LUT, window) and C.7.6.3.1.2 (MONOCHROME1). Stored
values are integers of at most 16 bits in practice, so the whole pipeline runs once over every value that
occurs, which gives a look-up table (LUT), and the picture is one look-up in it.

The data set must have passed `inference_worker.dicom_numbers.mend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_worker import notes
from inference_worker.decode import depth, grey
from inference_worker.decode.upright import Shown
from inference_worker.dicom_attributes import MODALITY_LUTS, VOI_LUTS
from inference_worker.dicom_numbers import lut_descriptor, numbers, voi_function
from inference_worker.types import Depth

Levels = NDArray[Any]
#: From real levels to ``uint8`` display levels of the same shape, or to levels of another unit.
Show = Callable[[Levels], NDArray[np.uint8]]
Map = Callable[[Levels], Levels]

_LUT_ENTRIES = grey.LUT_ENTRIES
#: As many LUTs and as many windows are tried, each over the sample.
_MOST_STATED = 3
#: Pixels that decide how the picture is shown, at most.
_SAMPLE = 1_000_000
#: A window shows nothing of a picture if it leaves more than this share within an eighth of one end.
_MOST_AT_ONE_END = 0.99
_END_LEVELS = 32
#: Nor if more than this share is saturated at one end and spreads over so many levels of its own range.
_MOST_LOST, _WIDE_LEVELS = 0.8, 64


def to_display(stored: NDArray[Any], dataset: Dataset) -> Shown:
    """``(H, W)`` stored values of a MONOCHROME picture to display levels, bone bright."""
    sample = stored.ravel()[:: max(1, stored.size // _SAMPLE)]
    sample = sample[~_padding(sample, dataset)]
    modality = _modality(sample, dataset)
    levels = modality(sample)
    flattened = _leave_out_flat(sample, levels, dataset)
    if flattened:
        modality, levels = (lambda values: values), sample
    voi, noted = _values_of_interest(levels, dataset)
    is_inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"

    def show(values: Levels) -> NDArray[np.uint8]:
        shown = voi(modality(values))
        return 255 - shown if is_inverted else shown

    def display(values: Levels) -> NDArray[np.uint8]:
        shown = show(values)
        shown[_padding(values, dataset)] = 0
        return shown

    return Shown(
        grey.looked_up(stored, display), depth=_depth(stored, dataset, voi, show), notes=(*flattened, *noted)
    )


def _depth(stored: NDArray[Any], dataset: Dataset, voi: Show, show: Show) -> Depth | None:
    """The picture at its stored depth, with the window that ``voi`` and a linear rescale make of it."""
    padding = _padding(stored, dataset)
    mask = padding if padding.any() else None
    if not isinstance(voi, Ramp) or MODALITY_LUTS in dataset:
        return depth.curved(stored, show, mask=mask)
    slope, intercept = _rescale(dataset)
    black, white = (voi.black - intercept) / slope, (voi.white - intercept) / slope
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        black, white = white, black
    return depth.linear(stored, black, white, mask=mask, scale=(slope, intercept))


def _padding(values: Levels, dataset: Dataset) -> NDArray[np.bool_]:
    """Where ``values`` are the detector's padding (PS3.3 C.7.5.1.1.2), which is shown black."""
    first = _padding_value(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, bool)
    last = _padding_value(dataset, "PixelPaddingRangeLimit")
    if last is None:
        last = first
    return np.asarray((values >= min(first, last)) & (values <= max(first, last)))


def _padding_value(dataset: Dataset, keyword: str) -> int | None:
    """The value with the sign that the pixels have, whichever type it was stored with."""
    value = dataset.get(keyword)
    if not isinstance(value, int):
        return None
    size = 1 << int(dataset.get("BitsAllocated") or 16)
    if dataset.get("PixelRepresentation") == 1 and value >= size // 2:
        return value - size
    return value + size if dataset.get("PixelRepresentation") == 0 and value < 0 else value


def _modality(sample: Levels, dataset: Dataset) -> Map:
    luts = dataset.get(MODALITY_LUTS)
    if luts:
        return _table(luts[0], sample, dataset)[0]
    slope, intercept = _rescale(dataset)
    if (slope, intercept) == (1.0, 0.0):
        return lambda values: values
    return lambda values: values * slope + intercept


def _rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        return 1.0, 0.0
    return float(slope), float(intercept)


def _leave_out_flat(sample: Levels, levels: Levels, dataset: Dataset) -> tuple[str, ...]:
    """Remove a modality LUT or rescale that leaves next to nothing of the picture, and what is in its units.

    ``levels`` is what it makes of ``sample``. Return the notes.
    """
    is_linear = MODALITY_LUTS not in dataset
    if not sample.size or (is_linear and _rescale(dataset) == (1.0, 0.0)):
        return ()
    if is_linear:
        known = np.isfinite(sample)
        before, after = sample[known], levels[known].astype(np.float32)  # as they are shown
        is_flat = np.ptp(before) > 0 and not 0 < np.ptp(after) < np.inf if before.size else False
    else:
        is_flat = _is_blank(grey.stretch(levels)) and not _is_blank(grey.stretch(sample))
    if not is_flat:
        return ()
    for keyword in (
        MODALITY_LUTS,
        "RescaleSlope",
        "RescaleIntercept",
        VOI_LUTS,
        "WindowCenter",
        "WindowWidth",
    ):
        dataset.pop(keyword, None)
    return (notes.RESCALE_UNUSABLE if is_linear else notes.LUT_UNUSABLE,)


def _values_of_interest(sample: Levels, dataset: Dataset) -> tuple[Show, tuple[str, ...]]:
    """How to show the picture: by the first of its VOI LUTs, else of its windows, that shows it; else by its
    own range of values.
    """
    stated = [*islice(_voi_luts(sample, dataset), _MOST_STATED), *islice(_windows(dataset), _MOST_STATED)]
    black, white = grey.bounds(sample)
    own = Ramp(black, white)
    if not stated:
        return own, ()
    full = own(sample)
    if _is_blank(full):
        return stated[0], ()  # there is nothing to see, whatever the window
    for index, show in enumerate(stated):
        shown = show(sample)
        if not _is_blank(shown) and not _hides(shown, full):
            return show, (notes.WINDOW_MISSES,) if index else ()
    return own, (notes.WINDOW_MISSES,)


def _is_blank(shown: NDArray[np.uint8]) -> bool:
    """Whether next to nothing of the picture lies between the ends of the display range."""
    if not shown.size:
        return True
    counts = np.bincount(shown, minlength=256) / shown.size
    most = max(counts[:_END_LEVELS].sum(), counts[-_END_LEVELS:].sum(), counts[0] + counts[255])
    return bool(most > _MOST_AT_ONE_END)


def _hides(shown: NDArray[np.uint8], full: NDArray[np.uint8]) -> bool:
    """Whether one end swallows most of the picture although the values there differ widely.

    Of a small finger most is even background, which may saturate; ``full`` is the picture by its own range.
    """
    for end in (0, 255):
        lost = full[shown == end]
        if lost.size > _MOST_LOST * full.size:
            low, high = np.percentile(lost, (5, 95))
            return bool(high - low >= _WIDE_LEVELS)
    return False


@dataclass(frozen=True, slots=True)
class Ramp:
    """Shows levels from ``black`` to ``white`` along a straight line."""

    black: float
    white: float

    def __call__(self, values: Levels) -> NDArray[np.uint8]:
        """Display levels of real ``values``; what is not finite is black."""
        return grey.stretch(values, self.black, self.white)


def _voi_luts(sample: Levels, dataset: Dataset) -> Iterator[Show]:
    for item in dataset.get(VOI_LUTS) or ():
        table, highest = _table(item, sample, dataset)
        yield partial(_by_table, table, highest)


def _by_table(table: Map, highest: float, values: Levels) -> NDArray[np.uint8]:
    return grey.stretch(table(values), 0.0, highest)


def _windows(dataset: Dataset) -> Iterator[Show]:
    function = voi_function(dataset)
    pairs = (numbers(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    for center, width in zip(*pairs, strict=False):
        if center is not None and width is not None:
            yield _window(center, width, function)


def _window(center: float, width: float, function: str) -> Show:
    if function == "LINEAR_EXACT":
        return Ramp(center - width / 2, center + width / 2)
    if function == "LINEAR" and width > 1:
        return Ramp(center - width / 2, center + width / 2 - 1.0)

    def show(values: Levels) -> NDArray[np.uint8]:
        levels = values.astype(np.float64)
        if function == "SIGMOID":
            shown = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (levels - center) / width, -700.0, 700.0)))
        else:  # a step
            shown = (levels > center - 0.5).astype(np.float64)
        return np.rint(np.nan_to_num(shown) * 255.0).astype(np.uint8)  # a float picture may hold NaN

    return show


def _table(item: Dataset, sample: Levels, dataset: Dataset) -> tuple[Map, float]:
    """The look-up of a LUT item (PS3.3 C.11.1.1.1), and the highest value that it can give."""
    descriptor = lut_descriptor(item)
    if descriptor is None:
        raise ValueError("a LUT without a descriptor")
    entries, first, bits = descriptor
    entries = entries % _LUT_ENTRIES or _LUT_ENTRIES  # 0 means 65,536, and a signed type makes it negative
    data: Any = item.LUTData
    if isinstance(data, bytes):
        if len(data) - entries in (0, 1):
            data = np.frombuffer(data, np.uint8)
        else:  # also where it holds fewer entries than stated
            is_little = dataset.original_encoding[1] is not False
            data = np.frombuffer(data[: len(data) // 2 * 2][: 2 * entries], "<u2" if is_little else ">u2")
    lut = np.atleast_1d(np.asarray(data))[:entries].astype(np.int64)
    first = _signed_first(first, len(lut), sample)
    used = max(8, int(lut.max()).bit_length())  # the stated bits may be more than the entries ever use
    white = float(2 ** min(used, bits) - 1) if bits > 0 else float(2**used - 1)

    def look_up(values: Levels) -> Levels:
        levels = np.nan_to_num(np.asarray(values, np.float64), posinf=2.0**40, neginf=-(2.0**40))
        index = np.clip(
            np.rint(np.clip(levels, -(2.0**40), 2.0**40)).astype(np.int64) - first, 0, len(lut) - 1
        )
        return lut[index]

    return look_up, max(white, float(lut.max()))


def _signed_first(first: int, entries: int, sample: Levels) -> int:
    """The first mapped value, with the other sign if only then the table meets the picture's values."""
    known = sample[np.isfinite(sample)]
    if not known.size:
        return first
    low, high = float(known.min()), float(known.max())
    if first > high and first >= _LUT_ENTRIES // 2 and first - _LUT_ENTRIES + entries > low:
        return first - _LUT_ENTRIES
    if first < 0 and first + entries <= low and first + _LUT_ENTRIES <= high:
        return first + _LUT_ENTRIES
    return first
