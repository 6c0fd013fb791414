"""DICOM's grey pipeline: stored values → modality values → values of interest → 8-bit display.

PS3.3 C.11.1 (modality LUT, rescale), C.11.2 (VOI LUT, window) and C.7.6.3.1.2 (MONOCHROME1). Stored
values are integers of at most 16 bits in practice, so the whole pipeline runs once over every value that
occurs, which gives a look-up table (LUT), and the picture is one look-up in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_worker.decode import grey
from inference_worker.dicom_attributes import MODALITY_LUTS, VOI_LUTS

_LUT_ENTRIES = 1 << 16


def to_display(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    """``(H, W)`` stored values of a MONOCHROME picture to ``uint8 (H, W)``, bone bright."""
    if not np.issubdtype(stored.dtype, np.integer):
        return _display(stored, stored, dataset)
    low, high = int(stored.min()), int(stored.max())
    if high - low >= _LUT_ENTRIES:
        return _display(stored, stored, dataset)
    values = np.arange(low, high + 1)
    # `grey.stretch` needs the picture's own distribution where no window is given.
    lut = _display(values, stored, dataset)
    return lut[stored.astype(np.int64) - low] if low else lut[stored]


def _display(values: NDArray[Any], picture: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    padding = _padding(values, dataset)
    shown = _window(_modality(values, dataset), picture, dataset)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        shown = 255 - shown
    shown[padding] = 0
    return shown


def _padding(values: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Where ``values`` are the detector's padding (PS3.3 C.7.5.1.1.2), which is shown black."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, bool)
    last = dataset.get("PixelPaddingRangeLimit")
    if last is None:
        last = first
    return np.asarray((values >= min(first, last)) & (values <= max(first, last)))


def _modality(values: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    luts = dataset.get(MODALITY_LUTS)
    if luts:
        return _look_up(values, luts[0], dataset)[0]
    slope = dataset.get("RescaleSlope")
    intercept = dataset.get("RescaleIntercept")
    if slope is None or intercept is None or float(slope) == 0:
        return values
    return values * float(slope) + float(intercept)


def _window(values: NDArray[Any], picture: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    luts = dataset.get(VOI_LUTS)
    if luts:
        output, white = _look_up(values, luts[0], dataset)
        return grey.stretch(output, 0.0, white)
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        step = max(1, picture.size // 1_000_000)
        known = picture.ravel()[::step]
        known = known[~_padding(known, dataset)]
        black, white = _bounds(_modality(known, dataset))
        return grey.stretch(values, black, white)
    levels = values.astype(np.float64)
    if function == "SIGMOID":
        shown = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (levels - center) / width, -700.0, 700.0)))
    elif function == "LINEAR_EXACT":
        shown = (levels - center) / width + 0.5
    elif width == 1:
        shown = (levels > center - 0.5).astype(np.float64)
    else:
        shown = (levels - (center - 0.5)) / (width - 1.0) + 0.5
    return np.rint(np.clip(shown, 0.0, 1.0) * 255.0).astype(np.uint8)


def _bounds(values: NDArray[Any]) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 0.0
    low, high = np.percentile(values, grey.STRETCH_PERCENTILES)
    return (float(low), float(high)) if low < high else (float(values.min()), float(values.max()))


def _look_up(values: NDArray[Any], item: Dataset, dataset: Dataset) -> tuple[NDArray[Any], float]:
    """Values through a LUT item (PS3.3 C.11.1.1.1), and the highest value it can give."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or _LUT_ENTRIES
    data: Any = item.LUTData
    if isinstance(data, bytes):
        if len(data) < 2 * entries:
            data = np.frombuffer(data, np.uint8)
        else:
            is_little = dataset.original_encoding[1] is not False
            data = np.frombuffer(data[: 2 * entries], "<u2" if is_little else ">u2")
    lut = np.atleast_1d(np.asarray(data))[:entries].astype(np.int64)
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(lut) - 1)
    return lut[index], float(max(2**bits - 1, int(lut.max())))


def _first(value: Any) -> float | None:
    """The first of a multi-valued element, ``None`` where there is none."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, (int, float, str)) else value[0])
