"""TIFF and BigTIFF without what may name people: same samples, same way up, nothing else."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import TiffImagePlugin

from inference_worker.decode import decode
from tests.factories import tiff
from tests.inference_worker.drawing import packed, png_of, tiff_of
from tests.intake.deidentify.drawing import NAME, orientation_of, pixels, ramp, saved, turned
from xrayportal.intake.deidentify import png as pngs
from xrayportal.intake.deidentify import tiff as tiffs
from xrayportal.intake.rejection import RejectedError


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "1", "P", "CMYK"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff(mode: str, compression: str | None) -> None:
    picture = ramp("I").convert("I;16") if mode == "I;16" else ramp(mode)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (270, 271, 305, 306, 315, 316, 33432):
        tags[tag] = NAME if tag != 306 else "1964:08:12 00:00:00"
    tags[65000] = NAME
    source = saved(picture, "TIFF", compression=compression, tiffinfo=tags, exif=turned(8))
    content = tiffs.strip(source)
    assert NAME.encode() in source
    assert NAME.encode() not in content
    assert b"1964" not in content
    assert (pixels(source) == pixels(content)).all()
    assert tiffs.strip(content) == content


def test_tiff_in_the_other_byte_order_and_in_tiles() -> None:
    for options in (
        {"byteorder": ">"},
        {"byteorder": "<", "tile": (16, 16)},
        {"byteorder": ">", "tile": (16, 16)},
    ):
        out = BytesIO()
        values = np.asarray(ramp("I")).astype(np.uint16) * 200
        tifffile.imwrite(out, values, description=NAME, **options)
        content = tiffs.strip(out.getvalue())
        assert NAME.encode() not in content
        assert (tifffile.imread(BytesIO(content)) == values).all()


def test_tiff_keeps_the_way_up() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = 8
    assert orientation_of(tiffs.strip(saved(ramp(), "TIFF", tiffinfo=tags))) == 8


def test_tiff_cut_anywhere_is_refused() -> None:
    source = tiff(size=(20, 20))
    for length in range(4, len(source)):
        with pytest.raises(RejectedError):
            tiffs.strip(source[:length])


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
def test_deep_samples_stay_what_they_are(bits: int, photometric: int) -> None:
    deep = np.linspace(0, 2**bits - 1, 600).reshape(20, 30).astype(np.uint16)
    colours = png_of(np.dstack([deep] * 3))
    sources = (
        (pngs.strip, colours),
        (tiffs.strip, tiff_of(packed(deep, bits), 30, 20, ">", t258=bits, t262=photometric)),
        (tiffs.strip, tiff_of(deep.tobytes(), 30, 20, t258=16, t262=photometric, t339=2)),
    )
    for strip, source in sources:
        assert (decode(strip(source)).pixels == decode(source).pixels).all()


@pytest.mark.parametrize(
    "tags",
    [
        {"t258": 40},
        {"t339": 5},
        {"t258": 12, "t339": 2},
        {"t258": (16,) * 4, "t277": 4, "t262": 5},
        {"t258": 16, "t259": 34712},
        {"t258": 8, "t259": 34712},
        {"t258": 8, "t259": 50001},
        {"t258": 8, "t259": 4},
        {"t258": 16, "t317": 9},
    ],
)
def test_samples_that_are_not_decoded_are_refused_at_the_door(tags: dict[str, Any]) -> None:
    with pytest.raises(RejectedError) as caught:
        tiffs.strip(tiff_of(bytes(30 * 20 * 8), 30, 20, **tags))
    assert caught.value.kind == "unsupported-encoding"


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_a_bigtiff_is_as_good_as_a_tiff(byteorder: Any, tile: tuple[int, int] | None, kind: str) -> None:
    deep = np.linspace(0, 250, 40 * 30).reshape(40, 30).astype(kind)
    plain, big = BytesIO(), BytesIO()
    for out, is_big in ((plain, False), (big, True)):
        with tifffile.TiffWriter(out, bigtiff=is_big, byteorder=byteorder) as file:
            file.write(deep, tile=tile, photometric="minisblack", compression="zlib", description=NAME)
    cleaned = tiffs.strip(big.getvalue())
    assert cleaned[2:4] in (b"*\x00", b"\x00*")
    assert NAME.encode() not in cleaned
    expected = decode(plain.getvalue()).pixels
    for content in (big.getvalue(), cleaned):
        assert (decode(content).pixels == expected).all()


def test_bigtiff_cut_anywhere_is_refused_or_whole() -> None:
    picture, out = np.arange(64, dtype=np.uint8).reshape(8, 8), BytesIO()
    with tifffile.TiffWriter(out, bigtiff=True) as file:
        file.write(picture, photometric="minisblack")
    content, taken = out.getvalue(), 0
    for end in range(len(content)):
        with suppress(RejectedError):
            assert (decode(tiffs.strip(content[:end])).pixels == picture).all()
            taken += 1
    assert taken < len(content) // 4  # what follows the picture
