"""PNG, JPEG and TIFF without what may name people: same pixels, same way up, nothing else."""

from __future__ import annotations

import zlib
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin, TiffImagePlugin

from inference_worker.decode import decode
from inference_worker.exif import Stated, read
from inference_worker.notes import RESAMPLED
from tests.factories import jpeg, png, tiff
from tests.inference_worker.drawing import encoded, png_of, stored_as, tiff_of
from tests.inference_worker.test_pictures import exif_block, with_segments
from tests.intake.deidentify.drawing import NAME, orientation_of, pixels, ramp, saved, turned
from xrayportal.intake.deidentify import exif
from xrayportal.intake.deidentify import jpeg as jpegs
from xrayportal.intake.deidentify import png as pngs
from xrayportal.intake.deidentify import tiff as tiffs
from xrayportal.intake.rejection import RejectedError

PngChunks = tuple[tuple[bytes, bytes], ...]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg(mode: str, progressive: bool, orientation: int) -> None:
    source = saved(
        ramp(mode),
        "JPEG",
        exif=turned(orientation),
        comment=NAME.encode(),
        progressive=progressive,
        icc_profile=NAME.encode() * 10,
        xmp=f"<x>{NAME}</x>".encode(),
        dpi=(300, 300),
    )
    source += f"appended {NAME}".encode()
    content = jpegs.strip(source)
    assert NAME.encode() in source
    assert NAME.encode() not in content
    assert b"1964" not in content
    assert (pixels(source) == pixels(content)).all()
    assert orientation_of(content) == orientation
    assert jpegs.strip(content) == content


def test_jpeg_with_restart_markers_and_filler() -> None:
    source = saved(ramp(), "JPEG", restart_marker_blocks=1)
    at = source.index(b"\xff\xdb")
    filled = source[:at] + b"\x00\x00\xff\xff" + source[at:]
    assert (pixels(jpegs.strip(filled)) == pixels(source)).all()


def test_jpeg_cut_anywhere_is_refused() -> None:
    source = jpeg(size=(64, 64), quality=90)
    for length in range(3, len(source), 5):
        with pytest.raises(RejectedError) as caught:
            jpegs.strip(source[:length])
        assert caught.value.kind == "truncated"


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "RGBA", "I;16", "1"])
def test_png(mode: str) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", NAME)
    texts.add_itxt("Description", NAME, zip=True)
    picture = ramp("I").convert("I;16") if mode == "I;16" else ramp(mode)
    source = saved(picture, "PNG", pnginfo=texts, exif=turned(6), icc_profile=NAME.encode(), dpi=(300, 300))
    source += NAME.encode()
    content = pngs.strip(source)
    assert NAME.encode() not in content
    assert (pixels(source) == pixels(content)).all()
    assert orientation_of(content) == 6
    assert pngs.strip(content) == content


def test_png_that_moves_is_refused() -> None:
    """As the worker would: nobody knows which of the pictures was meant."""
    source = saved(ramp(), "PNG", save_all=True, append_images=[ramp().rotate(90)])
    with pytest.raises(RejectedError) as caught:
        pngs.strip(source)
    assert caught.value.kind == "multi-frame"


def test_png_of_one_frame_is_taken_without_its_chunks() -> None:
    source = saved(ramp(), "PNG")
    control = b"acTL" + (1).to_bytes(4, "big") + bytes(4)
    chunk = (8).to_bytes(4, "big") + control + zlib.crc32(control).to_bytes(4, "big")
    assert pngs.strip(source[:33] + chunk + source[33:]) == pngs.strip(source)


def test_png_cut_anywhere_is_refused() -> None:
    source = png(size=(64, 64))
    for length in range(9, len(source)):
        with pytest.raises(RejectedError):
            pngs.strip(source[:length])


def test_png_that_begins_with_something_else_is_refused() -> None:
    body = b"tEXt" + b"Author\x00x"
    odd = len(body[4:]).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    source = png()
    with pytest.raises(RejectedError):
        pngs.strip(source[:8] + odd + source[8:])


def test_exif_block_is_read_as_it_is_written() -> None:
    for value in range(1, 9):
        assert read([exif.block(value)]) == Stated(value)
        assert read([exif.block(value, Fraction(3, 7))]) == Stated(value, Fraction(3, 7))
    for nonsense in (b"", b"II*\x00", b"II*\x00\xff\xff\xff\xff", b"XX*\x00\x08\x00\x00\x00\x01\x00"):
        assert read([nonsense]) == Stated()


UPRIGHT = np.kron(np.array([[0, 80, 160], [40, 250, 120]], np.uint8), np.ones((16, 16), np.uint8))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_portal_and_command_line_see_the_same_way_up(value: int, kind: int) -> None:
    stored, block = stored_as(UPRIGHT, value), exif_block(value, kind=kind)
    picture = encoded(stored, "JPEG", quality=95)
    name = exif_block(value, tag=0x010E)
    sources = (
        (pngs.strip, png_of(stored, after=((b"eXIf", block),))),
        (pngs.strip, png_of(stored, (b"eXIf", block))),
        (jpegs.strip, with_segments(picture, block, exif_block(3))),
        (jpegs.strip, with_segments(picture, name, block)),
        (jpegs.strip, with_segments(picture, block[:15], block[15:])),
    )
    for strip, source in sources:
        content = strip(source)
        assert (decode(content).pixels == decode(source).pixels).all()
        assert np.abs(decode(content).pixels.astype(int) - UPRIGHT).max() <= 3
        assert strip(content) == content


def test_pixels_that_are_not_square_stay_so() -> None:
    picture = np.ascontiguousarray(UPRIGHT[::2])
    density = (200).to_bytes(4, "big") + (100).to_bytes(4, "big") + b"\x00"
    photograph = bytearray(encoded(picture, "JPEG"))
    photograph[13:18] = b"\x00\x00\x02\x00\x01"
    for strip, source in (
        (pngs.strip, png_of(picture, (b"pHYs", density))),
        (tiffs.strip, tiff_of(picture.tobytes(), 48, 16, t282=(200, 1), t283=(100, 1))),
        (jpegs.strip, bytes(photograph)),
    ):
        before, after = decode(source), decode(strip(source))
        assert before.pixels.shape == UPRIGHT.shape
        assert (before.pixels == after.pixels).all()
        assert before.notes == after.notes == (RESAMPLED,)


def resolutions(across: tuple[int, int], down: tuple[int, int], order: str = "<", *, turn: int = 1) -> bytes:
    """An EXIF block of a name, an orientation and both resolutions."""
    block = Image.Exif()
    block.endian = order
    block[0x010E], block[0x0112] = "Muster", turn
    block[0x011A], block[0x011B] = (TiffImagePlugin.IFDRational(*one) for one in (across, down))
    return block.tobytes().removeprefix(b"Exif\x00\x00")


@pytest.mark.parametrize("order", ["<", ">"])
def test_resolutions_of_exif_count_where_nothing_else_tells(order: str) -> None:
    """A camera's or a scanner's JPEG has no JFIF, or one that says nothing; a PNG may have no pHYs."""
    flat = np.ascontiguousarray(UPRIGHT[::2])
    block = resolutions((400, 2), (100, 1), order)
    jfif = with_segments(encoded(flat, "JPEG", quality=95), block)
    at = jfif.index(b"\xff\xe0")
    bare = jfif[:at] + jfif[at + 2 + int.from_bytes(jfif[at + 2 : at + 4], "big") :]
    turned = with_segments(encoded(stored_as(flat, 6), "JPEG"), resolutions((100, 1), (200, 1), turn=6))
    for strip, source in (
        (jpegs.strip, jfif),
        (jpegs.strip, bare),
        (jpegs.strip, turned),
        (pngs.strip, png_of(flat, (b"eXIf", block))),
        (pngs.strip, png_of(flat, after=((b"eXIf", block),))),
    ):
        content = strip(source)
        before, after = decode(source), decode(content)
        assert before.pixels.shape == after.pixels.shape == UPRIGHT.shape
        assert (before.pixels == after.pixels).all()
        assert before.notes == after.notes == (RESAMPLED,)
        assert b"Muster" not in content
        assert strip(content) == content


def test_resolutions_of_exif_give_way_and_absurd_ones_count_for_nothing() -> None:
    square = (100).to_bytes(4, "big") * 2 + b"\x00"
    stated = bytearray(with_segments(encoded(UPRIGHT, "JPEG", dpi=(72, 72)), resolutions((2, 1), (1, 1))))
    sources = [
        (jpegs.strip, bytes(stated)),
        (pngs.strip, png_of(UPRIGHT, (b"pHYs", square), (b"eXIf", resolutions((2, 1), (1, 1))))),
    ]
    for across, down in (((1, 0), (1, 1)), ((0, 1), (1, 1)), ((2**32 - 1, 1), (1, 1)), ((72, 1), (72, 1))):
        picture = with_segments(encoded(UPRIGHT, "JPEG"), resolutions(across, down))
        sources.append((jpegs.strip, picture))
    for strip, source in sources:
        for content in (source, strip(source)):
            assert (decode(content).pixels.shape, decode(content).notes) == (UPRIGHT.shape, ())


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("share", [0, 1])
def test_alpha_of_any_type_hides_what_it_says_and_never_all(kind: str, share: int) -> None:
    """``share`` of full opacity everywhere: all of it, or none, which would hide the whole picture."""
    levels = np.linspace(0, 120, 600).reshape(20, 30).astype(kind)
    full = 1 if kind[0] == "f" else np.iinfo(kind).max
    both = np.dstack([levels, np.full_like(levels, share * full)])
    grey, alpha = BytesIO(), BytesIO()
    tifffile.imwrite(grey, levels, photometric="minisblack")
    tifffile.imwrite(
        alpha, both, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"
    )
    expected = decode(grey.getvalue()).pixels
    for content in (alpha.getvalue(), tiffs.strip(alpha.getvalue())):
        assert (decode(content).pixels == expected).all()
    both[:10, :, 1], both[10:, :, 1] = 0, full
    alpha = BytesIO()
    tifffile.imwrite(
        alpha, both, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"
    )
    half = decode(alpha.getvalue()).pixels
    assert (half[:10] == 0).all()
    assert (half[10:] == expected[10:]).all()


EXTRA: dict[str, PngChunks] = {
    "profile, empty": ((b"iCCP", b""),),
    "profile, unknown method": ((b"iCCP", b"a\x00\x01" + zlib.compress(b"x")),),
    "profile that swells": ((b"iCCP", b"a\x00\x00" + zlib.compress(bytes(70_000_000))),),
    "text that swells": ((b"zTXt", b"a\x00\x00" + zlib.compress(bytes(70_000_000))),),
    "gamma, empty": ((b"gAMA", b""),),
    "density, too short": ((b"pHYs", b"\x00\x00"),),
    "one frame of an animation": ((b"acTL", bytes([0, 0, 0, 1, 0, 0, 0, 0])), (b"fcTL", bytes(26))),
    "transparent colour, empty": ((b"tRNS", b""),),
}


@pytest.mark.parametrize("depth", ["u1", "u2"])
@pytest.mark.parametrize("what", EXTRA)
def test_chunks_of_a_png_that_say_nothing_of_its_pixels(what: str, depth: str) -> None:
    plain = np.linspace(0, 200, 600).reshape(20, 30).astype(depth)
    source = png_of(plain, *EXTRA[what])
    for content in (source, pngs.strip(source)):
        assert (decode(content).pixels == decode(png_of(plain)).pixels).all()


@pytest.mark.parametrize("kind", [b"eXIf", b"pHYs", b"tEXt", b"tRNS"])
def test_a_chunk_with_a_wrong_sum_says_nothing(kind: bytes) -> None:
    plain = np.linspace(0, 200, 600).reshape(20, 30).astype(np.uint8)
    body = {b"eXIf": exif.block(6), b"pHYs": bytes([0, 0, 0, 2, 0, 0, 0, 1, 0])}.get(kind, b"\x00\x07")
    source = bytearray(png_of(plain, (kind, body)))
    source[source.index(kind) + 4 + len(body)] ^= 1
    for content in (bytes(source), pngs.strip(bytes(source))):
        assert (decode(content).pixels == decode(png_of(plain)).pixels).all()


@pytest.mark.parametrize("stray", [b"\xff\xd0", b"\xff\x01", b"\xff\xd8", b"\xff\xff\xff"])
def test_stray_markers_between_a_jpegs_segments(stray: bytes) -> None:
    source = jpeg()
    content = source[:2] + stray + source[2:]
    assert (decode(content).pixels == decode(source).pixels).all()
    assert jpegs.strip(content) == jpegs.strip(source)


def test_two_jpegs_in_a_row_without_an_end_between_them_are_refused() -> None:
    with pytest.raises(RejectedError):
        jpegs.strip(jpeg()[:-2] + jpeg())


@pytest.mark.parametrize(("marker", "precision"), [(0xC1, 12), (0xC3, 8), (0xC9, 8)])
def test_kinds_of_jpeg_that_are_not_decoded_are_refused_at_the_door(marker: int, precision: int) -> None:
    source = bytearray(jpeg())
    frame = source.index(b"\xff\xc0")
    source[frame + 1], source[frame + 4] = marker, precision
    with pytest.raises(RejectedError) as caught:
        jpegs.strip(bytes(source))
    assert caught.value.kind == "unsupported-encoding"


def test_random_damage_is_refused_or_harmless() -> None:
    random = np.random.default_rng(20261122)
    for strip, source in ((jpegs.strip, jpeg()), (pngs.strip, png()), (tiffs.strip, tiff())):
        for _ in range(400):
            damaged = bytearray(source)
            for at in random.integers(0, len(source), 3):
                damaged[at] = random.integers(0, 256)
            with suppress(RejectedError):  # and nothing else
                strip(bytes(damaged))


def test_every_picture_of_the_source_passes_unchanged(shared_data: Path) -> None:
    for path in sorted((shared_data / "fracatlas" / "images").rglob("*.jpg"))[::250]:
        source = path.read_bytes()
        assert (pixels(jpegs.strip(source)) == pixels(source)).all()
