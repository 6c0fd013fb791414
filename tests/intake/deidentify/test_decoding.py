"""The decoder shows a de-identified DICOM file exactly as the file that was sent."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
)

from inference_worker.decode import decode
from inference_worker.types import UnreadableError
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


def flat_lut() -> Dataset:
    """A table that gives every value the same number."""
    item = lut()
    item.LUTData = bytes(2 * 4096)
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
        {"WindowCenter": [20000, 2048], "WindowWidth": [10, 1024]},
        {"VOILUTFunction": "sigmoid", "WindowCenter": 2048, "WindowWidth": 1024},
        {"PhotometricInterpretation": "monochrome1 "},
        {"SamplesPerPixel": 0, "PixelRepresentation": 2, "BitsStored": 0},
        {"ModalityLUTSequence": Sequence([flat_lut()]), "WindowCenter": 99, "WindowWidth": 10},
        {"RescaleSlope": "1E-300", "RescaleIntercept": 0, "WindowCenter": 99, "WindowWidth": 10},
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


@pytest.mark.parametrize("text", ["1047,5", "NaN", "inf", "1e999", "wide", "", "2048." + "0" * 5000])
@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"])
def test_numbers_that_are_none_give_one_picture(keyword: str, text: str) -> None:
    plain = {"WindowCenter": "2048", "WindowWidth": "1024", "RescaleSlope": "2", "RescaleIntercept": "-1000"}
    source = written(with_texts(radiograph(RAMP), **{**plain, keyword: text}))
    before, after = decode(source), decode(deidentify(source, KEY).content)
    assert np.array_equal(before.pixels, after.pixels)
    assert not np.array_equal(before.pixels, decode(written(with_texts(radiograph(RAMP), **plain))).pixels)


@pytest.mark.parametrize("text", ["1.0", "0", "-1", "NaN", "1e999", "one", "", "2.5"])
def test_a_number_of_frames_that_counts_nothing_is_one(text: str) -> None:
    source = written(radiograph(RAMP, NumberOfFrames=7777))
    value = text.encode().ljust(len(text) + len(text) % 2)
    source = source.replace(b"IS\x04\x007777", b"IS" + len(value).to_bytes(2, "little") + value)
    expected = decode(written(radiograph(RAMP))).pixels
    for content in (source, deidentify(source, KEY).content):
        assert np.array_equal(decode(content).pixels, expected)


@pytest.mark.parametrize("keyword", ["Rows", "BitsStored", "PixelRepresentation", "PixelPaddingValue"])
def test_whole_numbers_in_another_type(keyword: str) -> None:
    dataset = radiograph(RAMP, PixelPaddingValue=100)
    expected = decode(written(dataset)).pixels
    dataset[keyword] = DataElement(Tag(keyword), "IS", int(dataset[keyword].value))
    source = written(dataset)
    for content in (source, deidentify(source, KEY).content):
        assert np.array_equal(decode(content).pixels, expected)


def test_a_deflated_file() -> None:
    dataset = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    expected = decode(written(dataset)).pixels
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    cleaned = deidentify(written(dataset), KEY).content
    assert dcmread(BytesIO(cleaned)).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(decode(cleaned).pixels, expected)


def test_a_deflated_file_has_no_more_bytes_than_a_file_may_have(settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 1_000_000
    dataset = radiograph(np.zeros((1000, 1000), np.uint16))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with pytest.raises(RejectedError, match="too-large"):
        deidentify(written(dataset), KEY)


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
def test_pictures_of_real_numbers(keyword: str, kind: str) -> None:
    dataset = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    expected = decode(written(dataset)).pixels
    del dataset.PixelData
    dataset.BitsAllocated = 8 * np.dtype(kind).itemsize
    setattr(dataset, keyword, RAMP.astype(kind).tobytes())
    source = written(dataset)
    for content in (source, deidentify(source, KEY).content):
        assert np.array_equal(decode(content).pixels, expected)


@pytest.mark.parametrize("first", [0x0010, 0x0028])
def test_a_bare_data_set_may_begin_with_any_early_group(first: int) -> None:
    dataset = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    dataset.PatientID = "X"
    expected = decode(written(dataset)).pixels
    for element in list(dataset):
        if element.tag.group < first:
            del dataset[element.tag]
    del dataset.file_meta
    dataset.preamble = None
    for is_implicit in (True, False):
        bare = BytesIO()
        dataset.save_as(bare, implicit_vr=is_implicit, little_endian=True)
        for content in (bare.getvalue(), deidentify(bare.getvalue(), KEY).content):
            assert np.array_equal(decode(content).pixels, expected)


def test_a_bare_data_set_of_the_other_byte_order() -> None:
    dataset = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    expected = decode(written(dataset)).pixels
    dataset.PixelData = RAMP.astype(">u2").tobytes()
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = False, False
    write_dataset(buffer, dataset)
    for content in (buffer.getvalue(), deidentify(buffer.getvalue(), KEY).content):
        assert np.array_equal(decode(content).pixels, expected)


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


def of_another_size(dataset: Dataset) -> None:
    dataset.Rows += 1


def cut_short(dataset: Dataset) -> None:
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 4 * 2]])


def emptied(dataset: Dataset) -> None:
    dataset.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 2  # a table of offsets and a fragment


def of_another_kind(dataset: Dataset) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless if syntax == JPEG2000Lossless else JPEG2000Lossless


@pytest.mark.parametrize("damage", [of_another_size, cut_short, emptied, of_another_kind])
@pytest.mark.parametrize("name", ["RG3_J2KR.dcm", "JPEG-LL.dcm", "SC_rgb_jpeg_dcmtk.dcm"])
def test_compressed_frames_are_checked_at_the_door(damage: Callable[[Dataset], None], name: str) -> None:
    dataset = dcmread(str(get_testdata_file(name)))
    dataset.Modality, dataset.SOPClassUID = "DX", "1.2.840.10008.5.1.4.1.1.1.1"
    assert deidentify(written(dataset), KEY).content
    damage(dataset)
    with pytest.raises(RejectedError, match=r"truncated|corrupt"):
        deidentify(written(dataset), KEY)
    with pytest.raises(UnreadableError):
        decode(written(dataset))


def test_colours_of_a_compressed_frame_lie_as_it_says_not_as_the_header() -> None:
    for name in ("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_gdcm_KY.dcm"):
        dataset = dcmread(str(get_testdata_file(name)))
        dataset.Modality, dataset.SOPClassUID = "DX", "1.2.840.10008.5.1.4.1.1.1.1"
        expected = decode(written(dataset))
        dataset.PlanarConfiguration = 1
        source = written(dataset)
        for content in (source, deidentify(source, KEY).content):
            shown = decode(content)
            assert np.array_equal(shown.pixels, expected.pixels)
            assert shown.chroma == expected.chroma
