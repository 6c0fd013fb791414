"""DICOM's grey pipeline by hand: windows, rescale, look-up tables, and numbers that are none."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence

from inference_worker import notes
from inference_worker.decode import decode
from tests.inference_worker.drawing import radiograph, with_texts, written
from tests.inference_worker.films import RAMP, lut, shown

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


@pytest.mark.parametrize("entries", [5000, 0])
def test_a_look_up_table_with_fewer_entries_than_stated_ends_where_they_end(entries: int) -> None:
    table = lut(np.linspace(0, 4095, 4096).astype(np.uint16))
    table.LUTDescriptor = [entries, 0, 12]
    pixels = shown(radiograph(RAMP, VOILUTSequence=[table])).astype(int)
    assert np.abs(pixels - RAMP * (255 / 4095)).max() <= 1


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"])
@pytest.mark.parametrize("text", ["1", "2\\1\\1"])
def test_a_spacing_or_ratio_of_other_than_two_numbers_is_none(keyword: str, text: str) -> None:
    decoded = decode(written(with_texts(radiograph(RAMP), **{keyword: text})))
    assert (decoded.pixels.shape, decoded.spacing, decoded.notes) == (RAMP.shape, None, ())


def test_the_first_window_that_shows_the_picture_counts() -> None:
    several = radiograph(RAMP, WindowCenter=[90000, 2048, 1], WindowWidth=[10, 1024, 1])
    actual = decode(written(several))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP, WindowCenter=2048, WindowWidth=1024)))
    assert actual.notes == (notes.WINDOW_MISSES,)


def test_the_first_look_up_table_that_shows_the_picture_counts() -> None:
    items = Sequence([lut(np.zeros(4096)), lut(np.linspace(4095, 0, 4096))])
    actual = decode(written(radiograph(RAMP, VOILUTSequence=items)))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP, VOILUTSequence=items[1:])))
    assert actual.notes == (notes.WINDOW_MISSES,)


@pytest.mark.parametrize("slope", ["0", "1E-300", "1E300"])
def test_a_slope_that_leaves_nothing_of_the_picture_goes_with_the_window(slope: str) -> None:
    rescale = {"RescaleSlope": slope, "RescaleIntercept": "0"}
    actual = decode(written(radiograph(RAMP, WindowCenter=2048, WindowWidth=1024, **rescale)))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP)))
    assert actual.notes == (notes.RESCALE_UNUSABLE,)


@pytest.mark.parametrize("value", [0, 500])
def test_a_modality_look_up_table_that_leaves_nothing_of_the_picture_goes_with_the_window(value: int) -> None:
    table = Sequence([lut(np.full(4096, value))])
    source = radiograph(RAMP, ModalityLUTSequence=table, WindowCenter=2048, WindowWidth=1024)
    actual = decode(written(source))
    assert np.array_equal(actual.pixels, shown(radiograph(RAMP)))
    assert actual.notes == (notes.LUT_UNUSABLE,)


def test_a_rescaled_picture_of_real_numbers_may_have_holes() -> None:
    values = RAMP.astype(np.float32)
    values[0, 0] = np.nan
    window = {"WindowCenter": 4096, "WindowWidth": 8192, "RescaleSlope": 2, "RescaleIntercept": 0}
    dataset = radiograph(RAMP, **window)
    expected = shown(dataset)
    del dataset.PixelData
    dataset.BitsAllocated, dataset.FloatPixelData = 32, values.tobytes()
    actual = decode(written(dataset))
    assert np.array_equal(actual.pixels.ravel()[1:], expected.ravel()[1:])
    assert actual.notes == ()
