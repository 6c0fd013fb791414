"""DICOM files that are refused, and why."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from inference_worker.decode import decode
from inference_worker.decode.limits import Limits
from inference_worker.types import UnreadableError
from tests.inference_worker.drawing import encoded, radiograph, written
from tests.inference_worker.films import Find
from tests.inference_worker.test_pictures import kind_of


def test_without_pixels(noise: NDArray[np.uint8]) -> None:
    assert kind_of(written(radiograph(noise, PixelData=None))) == "no_pixels"


def test_encrypted(noise: NDArray[np.uint8]) -> None:
    item = pydicom.Dataset()
    item.EncryptedContentTransferSyntaxUID = ImplicitVRLittleEndian
    item.EncryptedContent = b"\x00" * 16
    dataset = radiograph(noise, PixelData=None, EncryptedAttributesSequence=Sequence([item]))
    assert kind_of(written(dataset)) == "encrypted"


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({"Modality": "CT"}, "not_a_projection"),
        ({"Modality": "US "}, "not_a_projection"),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, "not_a_projection"),
        ({"NumberOfFrames": 12}, "multi_frame"),
        ({"Rows": 50_000, "Columns": 50_000}, "too_many_pixels"),
        ({"Rows": 0}, "corrupt"),
        ({"Rows": None}, "corrupt"),
        ({"Rows": 61}, "truncated"),
        ({"BitsAllocated": None}, "corrupt"),
        ({"SamplesPerPixel": 4}, "unsupported_encoding"),
        ({"PhotometricInterpretation": "GREYSCALE"}, "unsupported_encoding"),
        ({"BitsAllocated": 7}, "unsupported_encoding"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported_encoding"),
    ],
)
def test_headers_that_are_refused(noise: NDArray[np.uint8], elements: dict[str, Any], kind: str) -> None:
    assert kind_of(written(radiograph(noise, **elements))) == kind


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "IO", "OT", ""])
def test_modalities_of_projections_are_decoded(noise: NDArray[np.uint8], modality: str) -> None:
    decode(written(radiograph(noise, Modality=modality)))


def test_codestream_of_another_size_is_refused(dicom_file: Find) -> None:
    dataset = pydicom.dcmread(dicom_file("RG3_J2KR.dcm"))
    dataset.Rows = dataset.Columns = 64
    assert kind_of(written(dataset)) == "corrupt"


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless])
def test_frame_that_ends_early_is_refused_though_the_file_is_whole(
    noise: NDArray[np.uint8], syntax: str
) -> None:
    name = "JPEG" if syntax == JPEGBaseline8Bit else "JPEG2000"
    options = {} if name == "JPEG" else {"no_jp2": True}
    frame = encoded(noise, name, **options)
    dataset = radiograph(noise)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    decode(written(dataset))
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    assert kind_of(written(dataset)) == "truncated"


def test_a_decoder_that_ends_its_process_does_not_end_ours(dicom_file: Find) -> None:
    dataset = pydicom.dcmread(dicom_file("JPGLosslessP14SV1_1s_1f_8b.dcm"))
    dataset.Modality, dataset.SOPClassUID = "CR", "1.2.840.10008.5.1.4.1.1.1"
    decode(written(dataset))
    # Eight bits in the frame, 32 in the header: GDCM calls abort().
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 32, 31
    assert kind_of(written(dataset)) == "corrupt"


def test_damaged_run_lengths(noise: NDArray[np.uint8]) -> None:
    dataset = radiograph(noise)
    dataset.compress(RLELossless, generate_instance_uid=False)
    data = bytearray(written(dataset))
    start = data.index(b"\xfe\xff\x00\xe0", data.index(b"\xfe\xff\x00\xe0") + 4) + 8 + 64
    outcomes = set()
    for place in range(start, start + 400, 20):
        damaged = bytes(data[:place]) + b"\x7f" + bytes(data[place + 1 :])
        try:
            outcomes.add(decode(damaged).pixels.shape)
        except UnreadableError as error:
            outcomes.add(error.kind)
    assert outcomes <= {noise.shape, "corrupt", "truncated"}


def test_deflated_bomb_is_refused_at_the_limit() -> None:
    dataset = radiograph(np.zeros((64, 64), np.uint8))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    data = file.getvalue()
    meta_end = data.index(b"\x02\x00\x10\x00UI")
    start = meta_end + 8 + int.from_bytes(data[meta_end + 6 : meta_end + 8], "little")
    while data[start : start + 2] == b"\x02\x00":
        start += 8 + int.from_bytes(data[start + 6 : start + 8], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = data[:start] + packer.compress(bytes(50_000_000)) + packer.flush()
    assert len(bomb) < 100_000
    assert kind_of(bomb, Limits(file_bytes=10_000_000)) == "too_large"


@pytest.mark.parametrize("bits", [0, 1, 17, 92, 255])
def test_a_frame_of_impossible_depth_is_refused_before_its_decoder_sees_it(
    noise: NDArray[np.uint8], bits: int
) -> None:
    dataset = radiograph(noise)
    dataset.compress(JPEGLSLossless)
    frame = bytearray(get_frame(dataset.PixelData, 0, number_of_frames=1))
    frame[frame.index(b"\xff\xf7") + 4] = bits
    dataset.PixelData = encapsulate([bytes(frame)])
    with pytest.raises(UnreadableError, match=f"claims samples of {bits} bits"):
        decode(written(dataset))
