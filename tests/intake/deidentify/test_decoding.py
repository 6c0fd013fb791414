"""The decoder shows a de-identified DICOM file exactly as the file that was sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence

from inference_worker.decode import decode
from tests.inference_worker.drawing import radiograph, written
from xrayportal.intake.deidentify.dicom import deidentify

KEY = b"k" * 32
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def lut() -> Dataset:
    """4096 entries, bright to dark."""
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [4096, 0, 12], "US"
    item.LUTData = np.arange(4095, -1, -1, dtype="<u2").tobytes()
    return item


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": 2048, "WindowWidth": 1024},
        {"WindowCenter": 2048, "WindowWidth": 1024, "VOILUTFunction": "SIGMOID"},
        {"RescaleSlope": -2, "RescaleIntercept": 100, "WindowCenter": -3000, "WindowWidth": 2000},
        {"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095},
        {"ModalityLUTSequence": Sequence([lut()])},
        {"VOILUTSequence": Sequence([lut()])},
        {"PixelSpacing": [0.14, 0.15]},
        {"ImagerPixelSpacing": [0.14, 0.15]},
        {"NominalScannedPixelSpacing": [0.14, 0.15]},
    ],
)
def test_every_element_that_changes_the_picture_is_kept(elements: dict[str, Any]) -> None:
    source = written(radiograph(RAMP, **elements))
    before, after = decode(source), decode(deidentify(source, KEY).content)
    assert np.array_equal(before.pixels, after.pixels)
    assert before.spacing == after.spacing
    assert (before.spacing is None) == (not any("Spacing" in keyword for keyword in elements))


@pytest.mark.parametrize(
    "name", ["RG3_UNCR.dcm", "RG3_J2KR.dcm", "SC_rgb_rle.dcm", "mlut_18.dcm", "vlut_04.dcm"]
)
def test_real_files(name: str) -> None:
    source = Path(str(get_testdata_file(name))).read_bytes()
    before, after = decode(source), decode(deidentify(source, KEY).content)
    assert np.array_equal(before.pixels, after.pixels)
    assert (before.chroma, before.spacing) == (after.chroma, after.spacing)
