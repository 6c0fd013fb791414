"""Pictures of more than eight bits: full depth kept, white found, rare samples unpacked."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from inference_worker import notes
from inference_worker.decode import decode
from tests.inference_worker.drawing import encoded, packed, png_of, radiograph, tiff_of, with_texts, written
from tests.inference_worker.test_pictures import kind_of


def ramp(white: int) -> NDArray[np.uint16]:
    return np.linspace(0, white, 60 * 90).reshape(60, 90).astype(np.uint16)


def with_channels(grey: NDArray[Any], channels: int, opaque: int = 65535) -> NDArray[Any]:
    colours = 1 if channels < 3 else 3
    planes = [grey] * colours
    if channels in (2, 4):
        planes.append(np.full_like(grey, opaque))
    return np.dstack(planes)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("white", [1023, 4095, 16383, 65535])
def test_deep_png_of_several_channels_shows_what_the_grey_one_shows(channels: int, white: int) -> None:
    actual = decode(png_of(with_channels(ramp(white), channels)))
    assert np.abs(actual.pixels - ramp(white) * (255 / white)).max() <= 1
    assert actual.chroma == 0


@pytest.mark.parametrize("channels", [2, 4])
def test_deep_alpha_lies_over_black(channels: int) -> None:
    pixels = with_channels(ramp(4095), channels)
    pixels[:30, :, -1] = 0
    pixels[30:45, :, -1] = 32768
    actual, opaque = decode(png_of(pixels)).pixels.astype(int), ramp(4095) * (255 / 4095)
    assert (actual[:30] == 0).all()
    assert np.abs(actual[30:45] - opaque[30:45] / 2).max() <= 1.5
    assert np.abs(actual[45:] - opaque[45:]).max() <= 1


def test_deep_colour_keeps_its_chroma_and_its_transparent_colour_is_black() -> None:
    pixels = with_channels(ramp(4095), 3)
    pixels[..., 0] = 4095
    assert decode(png_of(pixels)).chroma > 100
    hole = np.full((8, 8, 3), 30000, np.uint16)
    hole[0, 0] = 1000, 2000, 3000
    body = b"".join(value.to_bytes(2, "big") for value in (1000, 2000, 3000))
    actual = decode(png_of(hole, (b"tRNS", body))).pixels
    assert actual[0, 0] == 0
    assert actual[1, 1] > 200


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("white", [4095, 65535])
def test_deep_tiff_of_several_channels(planar: int, order: str, channels: int, white: int) -> None:
    pixels = with_channels(ramp(white), channels).astype(f"{order}u2")
    content = (pixels if planar == 1 else np.moveaxis(pixels, 2, 0)).tobytes()
    tags: dict[str, Any] = {"t258": (16,) * channels, "t277": channels, "t284": planar}
    tags["t262"] = 2 if channels > 2 else 1
    if channels in (2, 4):
        tags["t338"] = 2
    if planar == 2:
        size = len(content) // channels
        tags["t273"] = tuple(8 + index * size for index in range(channels))
        tags["t279"] = (size,) * channels
    actual = decode(tiff_of(content, 90, 60, order, **tags))
    assert np.abs(actual.pixels - ramp(white) * (255 / white)).max() <= 1
    assert actual.chroma == 0


def test_a_channel_without_a_meaning_is_no_alpha() -> None:
    pixels = np.dstack([ramp(255), np.zeros((60, 90))]).astype(np.uint8)
    plain = tiff_of(pixels.tobytes(), 90, 60, t258=(8, 8), t277=2, t338=0)
    assert np.array_equal(decode(plain).pixels, ramp(255))
    pixels[:, 45:, 1] = 255
    alpha = decode(tiff_of(pixels.tobytes(), 90, 60, t258=(8, 8), t277=2, t338=2)).pixels
    assert not alpha[:, :45].any()
    assert np.array_equal(alpha[:, 45:], ramp(255)[:, 45:])


def test_an_alpha_that_would_hide_the_whole_picture_hides_nothing() -> None:
    pixels = np.dstack([ramp(255), np.zeros((60, 90))]).astype(np.uint8)
    hidden = tiff_of(pixels.tobytes(), 90, 60, t258=(8, 8), t277=2, t338=2)
    assert np.array_equal(decode(hidden).pixels, ramp(255))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
def test_packed_bits(order: str, bits: int, photometric: int) -> None:
    white = 2**bits - 1
    data = tiff_of(packed(ramp(white)[:, :89], bits), 89, 60, order, t258=bits, t262=photometric)
    expected = ramp(white)[:, :89] * (255 / white)
    actual = decode(data).pixels
    assert np.abs(actual - (expected if photometric else 255 - expected)).max() <= 1


def test_predictor_on_packed_bits() -> None:
    deep = ramp(4095)
    differences = np.diff(deep.astype(int), axis=1, prepend=0) % 4096
    data = tiff_of(packed(differences, 12), 90, 60, t258=12, t317=2)
    assert np.abs(decode(data).pixels - deep * (255 / 4095)).max() <= 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, options) for kind in ("u2", "f4", "f8") for options in ({}, {"tile": (32, 32)})),
        ("u2", {"rowsperstrip": 7}),
        ("u2", {"predictor": True}),
    ],
)
def test_deflated_samples(kind: str, options: dict[str, Any]) -> None:
    file = BytesIO()
    tifffile.imwrite(file, ramp(4095).astype(kind), compression="zlib", **options)
    assert np.abs(decode(file.getvalue()).pixels - ramp(4095) * (255 / 4095)).max() <= 1


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
def test_sixteen_bits_in_compressions_of_bytes(compression: str) -> None:
    data = encoded(ramp(4095), "TIFF", compression=compression)
    assert np.abs(decode(data).pixels - ramp(4095) * (255 / 4095)).max() <= 1


def test_floating_point_predictor() -> None:
    values = ramp(4095).astype(">f4")
    shuffled = values.view(np.uint8).reshape(60, 90, 4).transpose(0, 2, 1).reshape(60, 360)
    content = np.diff(shuffled.astype(int), axis=1, prepend=0).astype(np.uint8).tobytes()
    data = tiff_of(content, 90, 60, t258=32, t339=3, t317=3)
    assert np.abs(decode(data).pixels - ramp(4095) * (255 / 4095)).max() <= 1


@pytest.mark.parametrize("kind", ["f4", "i1", "i2"])
def test_signed_and_floating_point_samples(kind: str) -> None:
    size = int(kind[1])
    values = (ramp(200).astype(int) - 100).astype(f"<{kind}")
    tags = {"t258": size * 8, "t339": 3 if kind[0] == "f" else 2}
    bright = decode(tiff_of(values.tobytes(), 90, 60, **tags)).pixels
    assert np.abs(bright - ramp(200) * (255 / 200)).max() <= 2
    dark = decode(tiff_of(values.tobytes(), 90, 60, t262=0, **tags)).pixels
    assert np.array_equal(dark, 255 - bright)


def test_holes_of_a_white_is_zero_picture_are_black() -> None:
    values = ramp(200).astype("<f4")
    values[0, 0] = np.nan
    actual = decode(tiff_of(values.tobytes(), 90, 60, t258=32, t339=3, t262=0)).pixels
    assert actual[0, 0] == 0
    assert actual[0, 1] >= 254


@pytest.mark.parametrize(
    "tags",
    [
        {"t258": 40},
        {"t339": 5},
        {"t258": 12, "t339": 2},
        {"t258": (16,) * 4, "t277": 4, "t262": 5},
        {"t258": 16, "t259": 34712},
        {"t258": 16, "t317": 9},
    ],
)
def test_other_samples_are_refused(tags: dict[str, Any]) -> None:
    assert kind_of(tiff_of(bytes(90 * 60 * 8), 90, 60, **tags)) == "unsupported_encoding"


def test_channels_of_different_depths_are_refused() -> None:
    assert kind_of(tiff_of(bytes(90 * 60 * 8), 90, 60, t258=(8, 16), t277=2)) == "corrupt"


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_deep_tiff_that_ends_early_is_refused(bits: int) -> None:
    content = bytes(90 * 60 * bits // 8)
    whole = tiff_of(content, 90, 60, t258=bits)
    decode(whole)
    assert kind_of(tiff_of(content[:-200], 90, 60, t258=bits)) == "truncated"


# --- white --------------------------------------------------------------------------------


def film(bits: int, size: int = 300) -> NDArray[np.uint16]:
    return np.linspace(0, 2**bits - 1, size * size).reshape(size, size).astype(np.uint16)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_hot_pixel_saturates_and_changes_nothing_else(bits: int) -> None:
    hot = film(bits)
    hot[0, 0] = 65535
    expected = decode(png_of(film(bits))).pixels
    for actual in (decode(png_of(hot)).pixels, decode(png_of(np.dstack([hot] * 3))).pixels):
        assert actual[0, 0] == 255
        assert np.array_equal(actual.ravel()[1:], expected.ravel()[1:])


def test_a_burnt_in_marker_does_not_decide_white() -> None:
    marked = film(12)
    marked[5:25, 5:35] = 65535
    marked[4, 5:35] = 30000  # soft edge of a letter
    expected = decode(png_of(film(12))).pixels
    assert np.array_equal(decode(png_of(marked)).pixels[30:], expected[30:])
    dicom = decode(written(radiograph(marked))).pixels[30:].astype(int)
    assert np.abs(dicom - decode(written(radiograph(film(12)))).pixels[30:]).max() <= 20


def test_a_bright_part_of_the_picture_does_decide_it() -> None:
    bright = film(12)
    bright[:40] = np.linspace(4096, 65535, 40 * 300).reshape(40, 300).astype(np.uint16)
    assert decode(png_of(bright)).pixels[60:].max() <= 16


# --- pixels that are not square -----------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        png_of(ramp(255).astype(np.uint8)[::2], (b"pHYs", bytes([0, 0, 0, 200, 0, 0, 0, 100, 0]))),
        tiff_of(ramp(255).astype(np.uint8)[::2].tobytes(), 90, 30, t282=(200, 1), t283=(100, 1), t296=2),
        written(radiograph(ramp(255)[::2], PixelAspectRatio=[2, 1])),
        written(radiograph(ramp(255)[::2], PixelSpacing=[0.4, 0.2])),
        written(with_texts(radiograph(ramp(255)[::2]), ImagerPixelSpacing="0,4\\0,2")),
    ],
    ids=["pHYs", "TIFF", "PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"],
)
def test_tall_pixels_are_made_square(data: bytes) -> None:
    actual = decode(data)
    assert actual.pixels.shape == (60, 90)
    assert actual.notes == (notes.RESAMPLED,)
    assert np.abs(actual.pixels.astype(int) - ramp(255)).max() <= 5
    assert actual.spacing in (None, pytest.approx((0.2, 0.2)))


def test_wide_pixels_are_made_square() -> None:
    actual = decode(written(radiograph(ramp(255)[:, ::2], PixelSpacing=[0.2, 0.4])))
    assert (actual.pixels.shape, actual.spacing) == ((60, 90), pytest.approx((0.2, 0.2)))
    assert (actual.width, actual.height) == (90, 60)


@pytest.mark.parametrize(
    "elements",
    [
        {"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [2, 1]},
        {"PixelSpacing": [0.2, 0.2005]},
        {"PixelAspectRatio": [0, 1]},
        {"PixelAspectRatio": [1, 1]},
        {"PixelAspectRatio": [1000, 1]},
    ],
)
def test_square_and_absurd_pixels_stay_as_they_are(elements: dict[str, Any]) -> None:
    actual = decode(written(radiograph(ramp(255), **elements)))
    assert (actual.pixels.shape, actual.notes) == ((60, 90), ())
