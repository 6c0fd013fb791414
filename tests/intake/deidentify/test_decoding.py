"""The decoder shows a de-identified DICOM file exactly as the file that was sent."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence

from inference_worker.decode import decode
from tests.inference_worker.drawing import radiograph, with_texts, written
from xrayportal.intake.deidentify.dicom import deidentify
from xrayportal.intake.rejection import RejectedError

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
        {"PixelAspectRatio": [2, 1]},
        {"VOILUTSequence": Sequence([Dataset()]), "WindowCenter": 2048, "WindowWidth": 1024},
        {"VOILUTSequence": Sequence([Dataset(), lut()])},
        {"BitsStored": 8, "HighBit": 11},
        {"WindowCenter": 20000, "WindowWidth": 10},
    ],
)
def test_every_element_that_changes_the_picture_is_kept(elements: dict[str, Any]) -> None:
    source = written(radiograph(RAMP, **elements))
    before, after = decode(source), decode(deidentify(source, KEY).content)
    assert np.array_equal(before.pixels, after.pixels)
    assert (before.spacing, before.notes) == (after.spacing, after.notes)
    assert (before.spacing is None) == (not any("Spacing" in keyword for keyword in elements))


@pytest.mark.parametrize(
    "name", ["RG3_UNCR.dcm", "RG3_J2KR.dcm", "SC_rgb_rle.dcm", "mlut_18.dcm", "vlut_04.dcm"]
)
def test_real_files(name: str) -> None:
    source = Path(str(get_testdata_file(name))).read_bytes()
    before, after = decode(source), decode(deidentify(source, KEY).content)
    assert np.array_equal(before.pixels, after.pixels)
    assert (before.chroma, before.spacing) == (after.chroma, after.spacing)


@pytest.mark.parametrize("text", ["1047,5", "NaN", "inf", "1e999", "wide", ""])
@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"])
def test_numbers_that_are_none_give_one_picture(keyword: str, text: str) -> None:
    plain = {"WindowCenter": "2048", "WindowWidth": "1024", "RescaleSlope": "2", "RescaleIntercept": "-1000"}
    source = written(with_texts(radiograph(RAMP), **{**plain, keyword: text}))
    before, after = decode(source), decode(deidentify(source, KEY).content)
    assert np.array_equal(before.pixels, after.pixels)
    assert not np.array_equal(before.pixels, decode(written(with_texts(radiograph(RAMP), **plain))).pixels)


def test_a_file_without_a_transfer_syntax() -> None:
    dataset = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    source = written(dataset)[132:]
    expected = decode(written(dataset)).pixels
    del dataset.file_meta
    dataset.preamble = None
    bare = BytesIO()
    dataset.save_as(bare, implicit_vr=True, little_endian=True)
    for content in (source, bare.getvalue()):
        assert np.array_equal(decode(content).pixels, expected)
        assert np.array_equal(decode(deidentify(content, KEY).content).pixels, expected)


def test_what_the_decoder_refuses_by_its_header_is_refused_at_the_door() -> None:
    dataset = dcmread(str(get_testdata_file("JPEG-lossy.dcm")))
    dataset.Modality, dataset.SOPClassUID = "DX", "1.2.840.10008.5.1.4.1.1.1.1"
    with pytest.raises(RejectedError, match="unsupported-encoding") as caught:
        deidentify(written(dataset), KEY)
    assert "12-bit lossy JPEG" in caught.value.reason
