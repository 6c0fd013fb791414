"""DICOM: every encoding of real files, the grey pipeline by hand, and what is refused."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
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
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from inference_worker import notes
from inference_worker.decode import decode
from inference_worker.decode.limits import Limits
from inference_worker.types import UnreadableError
from tests.inference_worker.drawing import encoded, radiograph, with_texts, written
from tests.inference_worker.test_pictures import kind_of

Find = Callable[[str], Path]

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def shown(dataset: pydicom.Dataset) -> NDArray[np.uint8]:
    return decode(written(dataset)).pixels


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


# --- the grey pipeline --------------------------------------------------------------------


def test_window_is_applied_as_the_standard_says() -> None:
    actual = shown(radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)).ravel().astype(int)
    assert (actual[:1536] == 0).all()
    assert (actual[2560:] == 255).all()
    expected = ((np.arange(1536, 2560) - 2047.5) / 1023 + 0.5) * 255
    assert np.abs(actual[1536:2560] - np.clip(expected, 0, 255)).max() <= 0.5


def test_linear_exact_and_sigmoid_windows() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 1024}
    exact = shown(radiograph(RAMP, VOILUTFunction="LINEAR_EXACT", **window)).ravel()
    assert exact[2048] == 128
    assert exact[1536] == 0
    sigmoid = shown(radiograph(RAMP, VOILUTFunction="SIGMOID", **window)).ravel().astype(int)
    expected = 255 / (1 + np.exp(-4 * (np.arange(4096) - 2048) / 1024))
    assert np.abs(sigmoid - expected).max() <= 0.51


def test_first_of_several_windows_counts() -> None:
    several = radiograph(RAMP, WindowCenter=[2048, 100], WindowWidth=[1024, 50])
    one = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    assert np.array_equal(shown(several), shown(one))


def test_rescale_comes_before_the_window() -> None:
    plain = radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)
    rescaled = radiograph(
        RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=2 * 2047.5 - 999.5, WindowWidth=2047
    )
    assert np.abs(shown(rescaled).astype(int) - shown(plain)).max() <= 1


def test_signed_values() -> None:
    signed = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    actual = shown(radiograph(signed, WindowCenter=0, WindowWidth=4096))
    assert np.array_equal(actual, shown(radiograph(RAMP, WindowCenter=2048, WindowWidth=4096)))


def test_monochrome1_is_the_complement() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = shown(radiograph(RAMP, **window))
    inverse = shown(radiograph(RAMP, PhotometricInterpretation="MONOCHROME1", **window))
    assert np.array_equal(inverse, 255 - plain)


def test_without_a_window_the_picture_fills_the_range_despite_hot_pixels() -> None:
    hot = np.random.default_rng(1).integers(1000, 1400, (200, 200)).astype(np.uint16)
    hot[0, :5] = 65535
    actual = shown(radiograph(hot))
    assert actual[100:].min() <= 2
    assert actual[100:].max() >= 253


def test_unusable_window_counts_as_none() -> None:
    assert np.array_equal(shown(radiograph(RAMP, WindowCenter=5, WindowWidth=0)), shown(radiograph(RAMP)))


@pytest.mark.parametrize("bits", [8, 12])
def test_voi_look_up_table(bits: int) -> None:
    item = pydicom.Dataset()
    item.LUTDescriptor = [1024, 1000, bits]
    item["LUTDescriptor"].VR = "US"
    # An inverse table: more entries than eight bits can number.
    item.LUTData = np.linspace(2**bits - 1, 0, 1024).astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    actual = shown(radiograph(RAMP, VOILUTSequence=Sequence([item]))).ravel().astype(int)
    assert (actual[:1001] == 255).all()
    assert (actual[2023:] == 0).all()
    assert (np.diff(actual) <= 0).all()
    assert abs(actual[1512] - 127.5) <= 1.5


def test_modality_look_up_table_comes_first() -> None:
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, 0, 16]
    item["LUTDescriptor"].VR = "US"
    item.ModalityLUTType = "US"
    item.LUTData = (np.arange(4096) * 16).astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    actual = shown(
        radiograph(RAMP, ModalityLUTSequence=Sequence([item]), WindowCenter=32768, WindowWidth=65536)
    )
    assert np.abs(actual.ravel() - np.arange(4096) / 4096 * 255).max() <= 1


def test_padding_is_black_and_does_not_count() -> None:
    padded = np.random.default_rng(2).integers(500, 900, (100, 100)).astype(np.uint16)
    padded[:, :30] = 4095
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        actual = shown(radiograph(padded, PhotometricInterpretation=photometric, PixelPaddingValue=4095))
        assert (actual[:, :30] == 0).all()
        assert actual[:, 30:].max() == 255


def test_thirty_two_bit_values() -> None:
    wide = (RAMP.astype(np.uint32) * 100_000).astype(np.uint32)
    actual = shown(radiograph(wide)).ravel().astype(int)
    assert (np.diff(actual) >= 0).all()
    assert (actual[0], actual[-1]) == (0, 255)


@pytest.mark.parametrize("spacing", [["1e400", "0.2"], ["0.2", "1e999"], ["0", "0.2"], ["-0.2", "0.2"]])
def test_spacing_that_is_no_length_is_none(spacing: list[str]) -> None:
    """JSON, and so the database, has no word for infinity."""
    assert decode(written(radiograph(RAMP, PixelSpacing=spacing))).spacing is None


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing"])
def test_spacing(keyword: str) -> None:
    assert decode(written(radiograph(RAMP, **{keyword: [0.2, 0.2]}))).spacing == (0.2, 0.2)


# --- numbers that are none ------------------------------------------------------------------


def test_a_decimal_comma_is_a_point() -> None:
    texts = {
        "WindowCenter": "1047,5",
        "WindowWidth": "1023,0",
        "RescaleSlope": "0,5",
        "RescaleIntercept": "10,5",
    }
    actual = decode(written(with_texts(radiograph(RAMP), **texts)))
    points = {keyword: text.replace(",", ".") for keyword, text in texts.items()}
    assert np.array_equal(actual.pixels, shown(with_texts(radiograph(RAMP), **points)))
    assert not np.array_equal(actual.pixels, shown(radiograph(RAMP)))
    assert actual.notes == ()


NO_NUMBERS = ["NaN", "nan", "inf", "-inf", "1e999", "wide", "1.234,5", "0x10", "1_0"]


@pytest.mark.parametrize("text", [*NO_NUMBERS, ""])
@pytest.mark.parametrize("bad", ["WindowCenter", "WindowWidth"])
def test_half_a_window_is_none(bad: str, text: str) -> None:
    texts = {"WindowCenter": "2048", "WindowWidth": "1024", bad: text}
    actual = decode(written(with_texts(radiograph(RAMP), **texts)))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP)))
    assert actual.notes == (notes.WINDOW_UNUSABLE,)


def test_the_first_usable_pair_counts() -> None:
    several = with_texts(radiograph(RAMP), WindowCenter="NaN\\2048\\1", WindowWidth="5\\1024\\1")
    actual = decode(written(several))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)))
    assert actual.notes == (notes.WINDOW_UNUSABLE,)


@pytest.mark.parametrize("text", [*NO_NUMBERS, ""])
@pytest.mark.parametrize("bad", ["RescaleSlope", "RescaleIntercept"])
def test_without_slope_or_intercept_the_window_goes_too(bad: str, text: str) -> None:
    """It counts in their units."""
    texts = {"RescaleSlope": "2", "RescaleIntercept": "-1000", bad: text}
    dataset = radiograph(RAMP, WindowCenter=3000, WindowWidth=2000)
    actual = decode(written(with_texts(dataset, **texts)))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP)))
    assert actual.notes == (notes.RESCALE_UNUSABLE,)


@pytest.mark.parametrize("texts", [{"RescaleSlope": "1"}, {"RescaleIntercept": "0", "RescaleSlope": ""}])
def test_half_a_rescale_that_changes_nothing_is_none(texts: dict[str, str]) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 1024}
    actual = decode(written(with_texts(radiograph(RAMP, **window), **texts)))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP, **window)))
    assert actual.notes == ()


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("left", [(), ("LUTDescriptor",), ("LUTData",), ("LUTExplanation",)])
def test_an_empty_look_up_table_is_none(sequence: str, left: tuple[str, ...]) -> None:
    item = pydicom.Dataset()
    for keyword in left:
        item.add_new(keyword, {"LUTExplanation": "LO"}.get(keyword, "US"), None)
    window = {"WindowCenter": 2048, "WindowWidth": 1024}
    for items in ([item], []):
        actual = decode(written(radiograph(RAMP, **window, **{sequence: Sequence(items)})))
        assert np.array_equal(actual.pixels, shown(radiograph(RAMP, **window)))
        assert actual.notes == ()


def test_a_look_up_table_without_numbers_is_left_out_and_the_next_used() -> None:
    item = lut(np.linspace(4095, 0, 4096))
    broken = pydicom.Dataset()
    broken.LUTDescriptor, broken.LUTData = [4096, 0], item.LUTData
    actual = decode(written(radiograph(RAMP, VOILUTSequence=Sequence([broken, item]))))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP, VOILUTSequence=Sequence([item]))))
    assert actual.notes == (notes.LUT_UNUSABLE,)


# --- windows that miss ----------------------------------------------------------------------


def lut(values: NDArray[Any], first: int = 0, bits: int = 12) -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.LUTDescriptor = [len(values) % 65536, first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = values.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("center", "width"), [(20000, 4096), (-9000, 500), (128, 1), (32768, 65536), (40, 30), (128, 256)]
)
def test_a_window_that_shows_nothing_is_not_used(photometric: str, center: int, width: int) -> None:
    plain = radiograph(RAMP, PhotometricInterpretation=photometric)
    expected = shown(plain)
    plain.WindowCenter, plain.WindowWidth = center, width
    actual = decode(written(plain))
    assert np.array_equal(actual.pixels, expected)
    assert actual.notes == (notes.WINDOW_MISSES,)


def test_a_narrow_window_that_shows_a_part_is_used() -> None:
    narrow = decode(written(radiograph(RAMP, WindowCenter=2048, WindowWidth=200)))
    assert (narrow.pixels == 255).mean() > 0.4
    assert narrow.notes == ()


def test_a_small_part_before_an_even_background_keeps_its_window() -> None:
    finger = np.full((200, 200), 60000, np.uint16)
    finger[90:110, 20:180] = np.random.default_rng(4).integers(1000, 5000, (20, 160))
    kept = decode(written(radiograph(finger, WindowCenter=3000, WindowWidth=4000)))
    assert (kept.pixels == 255).mean() > 0.9
    assert np.ptp(kept.pixels[90:110, 20:180]) > 250
    assert kept.notes == ()


def test_an_even_picture_keeps_its_window() -> None:
    even = decode(written(radiograph(np.full((64, 64), 900, np.uint16), WindowCenter=100, WindowWidth=100)))
    assert ((even.pixels == 255).all(), even.notes) == (True, ())


def test_a_look_up_table_that_misses_gives_way_to_the_window() -> None:
    item = lut(np.linspace(0, 4095, 4096), first=30000)
    window = {"WindowCenter": 2048, "WindowWidth": 1024}
    actual = decode(written(radiograph(RAMP, VOILUTSequence=Sequence([item]), **window)))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP, **window)))
    assert actual.notes == (notes.WINDOW_MISSES,)


def test_a_look_up_table_that_uses_fewer_bits_than_it_states_shows_its_whole_range() -> None:
    item = lut(np.linspace(0, 4095, 4096), bits=16)
    actual = shown(radiograph(RAMP, VOILUTSequence=Sequence([item])))
    assert np.array_equal(actual, shown(radiograph(RAMP, VOILUTSequence=Sequence([lut(np.arange(4096))]))))


@pytest.mark.parametrize("first", [-1024, 64512])
def test_first_mapped_value_below_zero_in_either_type(first: int) -> None:
    item = lut(np.arange(4096), first=first)
    actual = shown(radiograph(RAMP, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=Sequence([item])))
    assert np.abs(actual.ravel() - np.arange(4096) / 4095 * 255).max() <= 0.5


@pytest.mark.parametrize("first", [62000, -3536])
def test_first_mapped_value_of_high_unsigned_values_in_either_type(first: int) -> None:
    high = (RAMP.astype(int) * 3536 // 4096 + 62000).astype(np.uint16)
    actual = shown(radiograph(high, VOILUTSequence=Sequence([lut(np.arange(3536), first=first)])))
    assert np.abs(actual.astype(int) - (high.astype(int) - 62000) / 4095 * 255).max() <= 1


def test_padding_of_signed_pixels_in_an_unsigned_type() -> None:
    signed = (np.random.default_rng(2).integers(500, 900, (100, 100)) - 700).astype(np.int16)
    signed[:, :30] = -2000
    dataset = radiograph(signed, PixelPaddingValue=63536)
    dataset["PixelPaddingValue"].VR = "US"
    actual = shown(dataset)
    assert (actual[:, :30] == 0).all()
    assert actual[:, 30:].max() == 255
    assert actual[:, 30:].std() > 50


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


# --- what is refused ----------------------------------------------------------------------


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
        ({"BitsAllocated": 7}, "corrupt"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "corrupt"),
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
