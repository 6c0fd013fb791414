"""The picture at its stored depth: lossless, and with the window as sent the same as the display picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import Dataset

from inference_worker.decode import decode
from inference_worker.render import render
from inference_worker.types import Depth, Radiograph
from tests.inference_worker.drawing import packed, png_of, radiograph, stored_as, tiff_of, with_texts, written


def film(bits: int) -> np.ndarray:
    """A ramp with an even ground, as many values as the bits allow."""
    values = np.linspace(0, 2**bits - 1, 90 * 60).reshape(60, 90).astype(np.uint16)
    values[:, :20] = 2 ** (bits - 4)
    values[0, 30] = 0
    return values


FILM = film(12)


def as_shown(depth: Depth) -> np.ndarray:
    """What the viewer shows of the codes before anybody touches its window."""
    share = np.clip((depth.codes - (depth.level - depth.width / 2)) / depth.width, 0, 1)
    levels = 255 * share
    if depth.curve is not None:
        levels = np.interp(share, np.linspace(0, 1, len(depth.curve)), depth.curve)
    if depth.is_masked:
        levels[depth.codes == 0] = 0
    return np.asarray(np.rint(levels).astype(int))


def numbers(depth: Depth) -> np.ndarray:
    """The numbers that people know the values by."""
    return np.asarray(depth.first + depth.codes * depth.step)


def depth_of(radiograph: Radiograph) -> Depth:
    assert radiograph.depth is not None
    assert radiograph.depth.codes.shape == radiograph.pixels.shape
    assert radiograph.depth.width > 0
    return radiograph.depth


def lut(first: int, data: np.ndarray, bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(data) % 65536, first, bits]
    item.LUTData = data.astype("<u2").tobytes()
    return item


SQUARE = (np.linspace(0, 1, 4096) ** 2 * 65535).astype(np.uint16)
WINDOW = {"WindowCenter": 1500, "WindowWidth": 1200}
KINDS: dict[str, dict[str, Any]] = {
    "no window": {},
    "window": WINDOW,
    "exact": {**WINDOW, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID"},
    "rescaled": {"WindowCenter": -500, "WindowWidth": 900, "RescaleSlope": 0.5, "RescaleIntercept": -1024},
    "falling rescale": {
        "WindowCenter": 3000,
        "WindowWidth": 2000,
        "RescaleSlope": -1,
        "RescaleIntercept": 4095,
    },
    "modality table": {"ModalityLUTSequence": [lut(0, SQUARE)], "WindowCenter": 30000, "WindowWidth": 50000},
    "table": {"VOILUTSequence": [lut(0, SQUARE)]},
    "falling table": {"VOILUTSequence": [lut(0, SQUARE[::-1])]},
    "table of a part": {"VOILUTSequence": [lut(1000, SQUARE[::2])]},
    "padding": {**WINDOW, "PixelPaddingValue": 256},
    "padding at the top": {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000},
    "padding, table": {"VOILUTSequence": [lut(0, SQUARE)], "PixelPaddingValue": 256},
    "padding, falling table": {"VOILUTSequence": [lut(0, SQUARE[::-1])], "PixelPaddingValue": 0},
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_window_as_sent_gives_the_display_picture(kind: str, photometric: str) -> None:
    decoded = decode(written(radiograph(FILM, PhotometricInterpretation=photometric, **KINDS[kind])))
    depth = depth_of(decoded)
    assert np.abs(as_shown(depth) - decoded.pixels).max() <= 1
    if "table" not in kind and "padding" not in kind:
        rescaled = FILM * float(KINDS[kind].get("RescaleSlope", 1)) + KINDS[kind].get("RescaleIntercept", 0)
        assert np.array_equal(numbers(depth), rescaled)
    elif "padding" not in kind:
        assert np.array_equal(numbers(depth), FILM)
    else:
        assert depth.is_masked
        kept = depth.codes > 0
        assert np.array_equal(numbers(depth)[kept], FILM[kept])


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_signed_and_high_bits(bits: int) -> None:
    values = film(bits).astype(np.int32) - 2 ** (bits - 1)
    signed = depth_of(decode(written(radiograph(values.astype(np.int16)))))
    assert np.array_equal(numbers(signed), values)
    high = radiograph(film(bits) << (16 - bits), BitsStored=bits)
    high.HighBit = 15
    assert np.array_equal(numbers(depth_of(decode(written(high)))), film(bits))


def test_values_that_lie_apart_take_no_more_bits_than_they_need() -> None:
    depth = depth_of(decode(written(radiograph(FILM << 4))))
    assert (int(depth.codes.max()), depth.step) == (4095, 16.0)
    assert np.array_equal(numbers(depth), FILM << 4)


def test_words_of_32_bits_are_brought_to_16() -> None:
    wide = (FILM.astype(np.uint32) * 1_000_000).astype(np.uint32)
    decoded = decode(written(radiograph(wide)))
    depth = depth_of(decoded)
    assert np.abs(as_shown(depth) - decoded.pixels).max() <= 1
    assert np.abs(numbers(depth) - wide).max() <= abs(depth.step)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png(channels: int) -> None:
    opaque = np.full_like(FILM, 65535)
    pixels = np.dstack([FILM] * (1 if channels < 3 else 3) + [opaque] * (channels % 2 == 0))
    decoded = decode(png_of(pixels if channels > 1 else FILM))
    assert np.array_equal(numbers(depth_of(decoded)), FILM)
    assert np.abs(as_shown(depth_of(decoded)) - decoded.pixels).max() <= 1


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("kind", ["packed", "words", "float"])
def test_tiff(kind: str, photometric: int) -> None:
    if kind == "packed":
        source = tiff_of(packed(FILM, 12), 90, 60, t258=12, t262=photometric)
    elif kind == "words":
        source = tiff_of(FILM.tobytes(), 90, 60, t258=16, t262=photometric)
    else:
        values = FILM.astype("<f4")
        values[0, 0], values[1, 1] = np.nan, -3e38
        source = tiff_of(values.tobytes(), 90, 60, t258=32, t339=3, t262=photometric)
    decoded = decode(source)
    depth = depth_of(decoded)
    assert np.abs(as_shown(depth) - decoded.pixels)[2:].max() <= 1
    assert np.abs(numbers(depth) - FILM)[2:].max() <= abs(depth.step)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_lies_as_the_display_picture_does(orientation: int) -> None:
    stored = stored_as(FILM, orientation)
    height, width = stored.shape
    decoded = decode(tiff_of(stored.tobytes(), width, height, t258=16, t274=orientation))
    assert np.array_equal(depth_of(decoded).codes, FILM)


def test_it_is_resampled_as_the_display_picture_is() -> None:
    decoded = decode(written(radiograph(FILM, PixelSpacing=[0.2, 0.1])))
    assert depth_of(decoded).codes.shape == (120, 90)
    assert np.abs(as_shown(depth_of(decoded)) - decoded.pixels).max() <= 1


def test_pictures_that_the_display_holds_whole_have_none() -> None:
    shallow = [
        decode(written(radiograph(film(8)))),
        decode(written(radiograph(film(8).astype(np.uint8)))),
        decode(written(radiograph(np.full((60, 90), 700, np.uint16)))),
        decode(png_of(film(8).astype(np.uint8))),
        decode(png_of(np.dstack([FILM, FILM // 2, FILM]))),  # colours
        decode(tiff_of(film(8).astype(np.uint8).tobytes(), 90, 60)),
    ]
    assert [radiograph.depth for radiograph in shallow] == [None] * len(shallow)
    assert render(shallow[0], None, 4.0).depth is None


def test_the_file_is_a_lossless_png_of_16_bits() -> None:
    decoded = decode(written(radiograph(FILM)))
    file = render(decoded, None, 4.0).depth
    assert file is not None
    assert file[24:26] == b"\x10\x00"  # depth and colour type of IHDR
    codes = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(codes, depth_of(decoded).codes)


def test_a_window_that_misses_leaves_the_whole_depth() -> None:
    source = with_texts(radiograph(FILM + 32768), WindowCenter="2048", WindowWidth="4096")
    decoded = decode(written(source))
    assert np.array_equal(numbers(depth_of(decoded)), FILM + 32768)
    assert np.abs(as_shown(depth_of(decoded)) - decoded.pixels).max() <= 1
