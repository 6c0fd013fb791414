"""Pictures of known values as DICOM, and what the decoder shows of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from inference_worker.decode import decode
from tests.inference_worker.drawing import written

Find = Callable[[str], Path]

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def shown(dataset: pydicom.Dataset) -> NDArray[np.uint8]:
    return decode(written(dataset)).pixels


def lut(values: NDArray[Any], first: int = 0, bits: int = 12) -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.LUTDescriptor = [len(values) % 65536, first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = values.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item
