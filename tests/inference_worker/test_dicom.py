"""DICOM: every encoding of real files, where the bits lie, and what a file leaves out."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from inference_worker.decode import decode
from inference_worker.types import UnreadableError
from tests.inference_worker.drawing import encoded, radiograph, written
from tests.inference_worker.films import RAMP, Find, shown
from tests.inference_worker.test_pictures import kind_of

# --- real files ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RG1", "RG3"])
def test_all_encodings_of_a_radiograph_agree(dicom_file: Find, name: str) -> None:
    reference, lossless, lossy = (
        decode(dicom_file(f"{name}_{encoding}.dcm").read_bytes()).pixels
        for encoding in ("UNCR", "J2KR", "J2KI")
    )
    uncompressed_lossy = decode(dicom_file(f"{name}_UNCI.dcm").read_bytes()).pixels
    assert np.array_equal(lossless, reference)
    assert np.array_equal(lossy, uncompressed_lossy)
    assert np.abs(lossy.astype(int) - reference).mean() < 2


def test_monochrome1_shows_bone_bright(dicom_file: Find) -> None:
    leg = decode(dicom_file("RG3_UNCR.dcm").read_bytes()).pixels
    assert leg.shape == (1760, 1760)
    shaft, air = leg[400:800, 910], leg[400:800, 500]
    assert shaft.mean() > air.mean() + 60


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_expb_16bit.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_colour_in_every_encoding_is_the_same_picture(dicom_file: Find, name: str) -> None:
    reference = decode(dicom_file("SC_rgb.dcm").read_bytes())
    actual = decode(dicom_file(name).read_bytes())
    assert actual.chroma == pytest.approx(reference.chroma, abs=1)
    assert np.abs(actual.pixels.astype(int) - reference.pixels).mean() < 2


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
def test_real_look_up_tables(dicom_file: Find, name: str) -> None:
    pixels = decode(dicom_file(name).read_bytes()).pixels
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "RLELossless"])
def test_lossless_encodings_give_the_same_picture(dicom_file: Find, tmp_path: Path, name: str) -> None:
    original, compressed = dicom_file("RG3_UNCR.dcm"), tmp_path / "compressed.dcm"
    reader = gdcm.ImageReader()
    reader.SetFileName(str(original))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(compressed))
    assert writer.Write()
    data = compressed.read_bytes()
    assert len(data) < original.stat().st_size
    assert np.array_equal(decode(data).pixels, decode(original.read_bytes()).pixels)
    assert kind_of(data[: len(data) * 2 // 3]) == "truncated"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CT_small.dcm", "not_a_projection"),
        ("MR_small.dcm", "not_a_projection"),
        ("MR2_UNCR.dcm", "not_a_projection"),
        ("US1_J2KR.dcm", "not_a_projection"),
        ("examples_rgb_color.dcm", "not_a_projection"),
        ("rtplan.dcm", "not_a_projection"),
        ("SC_rgb_2frame.dcm", "multi_frame"),
        ("emri_small_jpeg_2k_lossless_too_short.dcm", "truncated"),
    ],
)
def test_real_files_that_are_refused(dicom_file: Find, name: str, kind: str) -> None:
    assert kind_of(dicom_file(name).read_bytes()) == kind


def test_twelve_bit_jpeg_is_refused_with_its_own_sentence(dicom_file: Find) -> None:
    dataset = pydicom.dcmread(dicom_file("JPEG-lossy.dcm"))
    assert dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit
    dataset.Modality, dataset.SOPClassUID = "DX", "1.2.840.10008.5.1.4.1.1.1.1"
    with pytest.raises(UnreadableError, match="12-bit") as caught:
        decode(written(dataset))
    assert caught.value.kind == "unsupported_encoding"


@pytest.mark.parametrize("name", ["RG3_J2KR.dcm", "RG3_UNCR.dcm", "RG3_J2KI.dcm"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_file_that_ends_early_is_refused(dicom_file: Find, name: str, share: float) -> None:
    data = dicom_file(name).read_bytes()
    # So short a file has no picture yet; what it lacks cannot be distinguished from what it never had.
    expected = ("truncated", "no_pixels") if share < 0.01 else ("truncated",)
    assert kind_of(data[: int(len(data) * share)]) in expected


def test_nothing_is_printed_or_logged(
    dicom_file: Find, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("RG3_J2KI.dcm", "JPEG2000-embedded-sequence-delimiter.dcm", "badVR.dcm", "MR_truncated.dcm"):
        data = dicom_file(name).read_bytes()
        for share in (1.0, 0.7):
            try:
                decode(data[: int(len(data) * share)])
            except UnreadableError:
                continue
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


# --- where the bits lie, and what a file leaves out -----------------------------------------


@pytest.mark.parametrize(("bits", "top"), [(12, 15), (12, 13), (10, 15), (14, 15)])
@pytest.mark.parametrize("is_signed", [False, True])
def test_stored_bits_that_sit_higher(bits: int, top: int, is_signed: bool) -> None:
    values = (np.arange(4096).reshape(64, 64) * (2**bits - 1) // 4095).astype(np.uint16)
    if is_signed:
        values = (values.astype(int) - 2 ** (bits - 1)).astype(np.int16)
    plain = radiograph(values, BitsStored=bits, HighBit=bits - 1)
    shift = top + 1 - bits
    overlay = np.random.default_rng(1).integers(0, 1 << shift, values.shape).astype(values.dtype)
    high = radiograph((values << shift) | overlay, BitsStored=bits, HighBit=top)
    assert np.array_equal(shown(high), shown(plain))
    high.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(shown(high), shown(plain))


@pytest.mark.parametrize("values", [RAMP, (RAMP.astype(int) - 2048).astype(np.int16)])
def test_a_high_bit_that_is_not_true_is_not_followed(values: NDArray[Any]) -> None:
    plain = radiograph(values, BitsStored=12, HighBit=11)
    assert np.array_equal(shown(radiograph(values, BitsStored=12, HighBit=15)), shown(plain))


@pytest.mark.parametrize("is_implicit", [True, False])
@pytest.mark.parametrize("has_preamble", [True, False])
def test_without_a_transfer_syntax(is_implicit: bool, has_preamble: bool) -> None:
    dataset = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    expected = shown(dataset)
    del dataset.file_meta
    dataset.preamble = None
    file = BytesIO()
    dataset.save_as(file, implicit_vr=is_implicit, little_endian=True)
    data = (bytes(128) + b"DICM" if has_preamble else b"") + file.getvalue()
    assert np.array_equal(decode(data).pixels, expected)


@pytest.mark.parametrize(
    "keyword", ["PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "HighBit"]
)
@pytest.mark.parametrize("is_empty", [True, False])
def test_what_can_be_only_one_thing_may_be_missing(keyword: str, is_empty: bool) -> None:
    dataset = radiograph(RAMP, **{} if is_empty else {keyword: None})
    if is_empty:
        dataset[keyword].value = None
    assert np.array_equal(shown(dataset), shown(radiograph(RAMP)))


@pytest.mark.parametrize(
    "padding", [b" ", b"\r\n", b"\x00\x00", b"\xff\xff", b"left over from before", b"\n"]
)
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, JPEGLosslessSV1])
def test_what_follows_the_end_of_a_frame_is_padding(
    dicom_file: Find, noise: NDArray[np.uint8], padding: bytes, syntax: str
) -> None:
    if syntax == JPEGLosslessSV1:
        dataset = pydicom.dcmread(dicom_file("JPGLosslessP14SV1_1s_1f_8b.dcm"))
        dataset.Modality, dataset.SOPClassUID = "CR", "1.2.840.10008.5.1.4.1.1.1"
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\x00")
    else:
        name, options = ("JPEG", {}) if syntax == JPEGBaseline8Bit else ("JPEG2000", {"no_jp2": True})
        frame = encoded(noise, name, **options)
        dataset = radiograph(noise)
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    plain = shown(dataset)
    dataset.PixelData = encapsulate([frame + padding])
    assert np.array_equal(shown(dataset), plain)
    dataset.PixelData = encapsulate([frame[: len(frame) // 2] + padding])
    assert kind_of(written(dataset)) == "truncated"


def test_rle() -> None:
    dataset = radiograph(RAMP, WindowCenter=2048, WindowWidth=4096)
    plain = shown(dataset)
    dataset.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(shown(dataset), plain)


def test_deflated(noise: NDArray[np.uint8]) -> None:
    dataset = radiograph(noise)
    plain = shown(dataset)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert np.array_equal(shown(dataset), plain)


def test_without_preamble(noise: NDArray[np.uint8]) -> None:
    dataset = radiograph(noise)
    plain = shown(dataset)
    assert np.array_equal(decode(written(dataset)[132:]).pixels, plain)


@pytest.mark.parametrize("profile", [b"ICC_PROFILE\x00", b"ICC_PROFILE\x00\x02\x01junk"])
def test_a_bad_colour_profile_inside_a_frame_says_nothing_of_the_pixels(
    noise: NDArray[np.uint8], profile: bytes
) -> None:
    frame = encoded(noise, "JPEG")
    segment = b"\xff\xe2" + (len(profile) + 2).to_bytes(2, "big") + profile

    def pixels_of(content: bytes) -> NDArray[np.uint8]:
        dataset = radiograph(noise)
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PixelData = encapsulate([content + b"\x00" * (len(content) % 2)])
        dataset["PixelData"].is_undefined_length = True
        return shown(dataset)

    assert np.array_equal(pixels_of(frame[:2] + segment + frame[2:]), pixels_of(frame))
