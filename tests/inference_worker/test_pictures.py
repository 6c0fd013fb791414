"""PNG, JPEG and TIFF of every kind come out as a reader would see them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from inference_worker.decode import decode
from inference_worker.decode.limits import Limits
from inference_worker.types import UnreadableError
from tests.inference_worker.drawing import ORIENTATION, encoded, png_of, stored_as

LOSSLESS = ("PNG", "TIFF")


def kind_of(data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(UnreadableError) as caught:
        decode(data, limits)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert ";" in sentence, "the sentence says what to do"
    return caught.value.kind


@pytest.mark.parametrize("name", LOSSLESS)
def test_grey_is_unchanged(noise: NDArray[np.uint8], name: str) -> None:
    actual = decode(encoded(noise, name))
    assert np.array_equal(actual.pixels, noise)
    assert actual.chroma == 0
    assert actual.spacing is None


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}]
)
def test_jpeg_gives_the_reference_decoders_pixels(
    noise: NDArray[np.uint8], options: dict[str, object]
) -> None:
    data = encoded(noise, "JPEG", **options)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(decode(data).pixels, expected)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(name: str, orientation: int) -> None:
    upright = np.kron(np.array([[0, 80, 160], [40, 250, 120]], np.uint8), np.ones((16, 16), np.uint8))
    actual = decode(encoded(stored_as(upright, orientation), name, orientation, quality=95))
    assert actual.pixels.shape == upright.shape
    assert np.abs(actual.pixels.astype(int) - upright).max() <= 3


UPRIGHT = np.kron(np.array([[0, 80, 160], [40, 250, 120]], np.uint8), np.ones((16, 16), np.uint8))


def exif_block(value: int, order: str = "<", kind: int = 3, tag: int = ORIENTATION) -> bytes:
    """An EXIF block of one entry of type SHORT (3), LONG (4) or BYTE (1)."""
    number = struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], value).ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HIHHHI", 42, 8, 1, tag, kind, 1) + number + bytes(4)


def with_segments(jpeg: bytes, *blocks: bytes) -> bytes:
    segments = (b"Exif\0\0" + block for block in blocks)
    return (
        jpeg[:2]
        + b"".join(b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body for body in segments)
        + jpeg[2:]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_orientation_of_any_type_and_place(orientation: int, order: str, kind: int) -> None:
    stored, block = stored_as(UPRIGHT, orientation), exif_block(orientation, order, kind)
    before, after = png_of(stored, (b"eXIf", block)), png_of(stored, after=((b"eXIf", block),))
    assert np.array_equal(decode(before).pixels, UPRIGHT)
    assert np.array_equal(decode(after).pixels, UPRIGHT)
    # Some programs write into a PNG what belongs into a JPEG.
    assert np.array_equal(decode(png_of(stored, (b"eXIf", b"Exif\x00\x00" + block))).pixels, UPRIGHT)
    jpeg = with_segments(encoded(stored, "JPEG", quality=95), block)
    assert np.abs(decode(jpeg).pixels.astype(int) - UPRIGHT).max() <= 3


@pytest.mark.parametrize(
    "blocks",
    [
        (exif_block(6), exif_block(3)),
        (exif_block(6, tag=0x010E), exif_block(6)),
        (b"", exif_block(6), exif_block(1)),
        (exif_block(0), exif_block(6)),
        (exif_block(6)[:15], exif_block(6)[15:]),
    ],
)
def test_the_first_segment_that_states_an_orientation_counts(blocks: tuple[bytes, ...]) -> None:
    jpeg = with_segments(encoded(stored_as(UPRIGHT, 6), "JPEG", quality=95), *blocks)
    assert np.abs(decode(jpeg).pixels.astype(int) - UPRIGHT).max() <= 3


@pytest.mark.parametrize("profile", [b"", b"ICC_PROFILE\0", b"ICC_PROFILE\0\x05\x01junk", b"other"])
@pytest.mark.parametrize("place", [2, -1])
def test_colour_profiles_are_nothing_to_refuse(noise: NDArray[np.uint8], profile: bytes, place: int) -> None:
    data = encoded(noise, "JPEG")
    at = 2 if place == 2 else data.index(b"\xff\xda")
    segment = b"\xff\xe2" + struct.pack(">H", len(profile) + 2) + profile
    marked = data[:at] + segment + data[at:]
    assert np.array_equal(decode(marked).pixels, decode(data).pixels)
    assert kind_of(marked[: len(marked) * 3 // 4]) == "truncated"


def test_densities_of_a_jpeg_that_are_not_equal() -> None:
    data = bytearray(encoded(UPRIGHT[::2], "JPEG", quality=95))
    data[13:18] = b"\x00\x00\x02\x00\x01"  # no unit, two across for one down
    assert decode(bytes(data)).pixels.shape == UPRIGHT.shape


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize(("bits", "white"), [(10, 1023), (12, 4095), (16, 65535)])
def test_deep_grey_is_scaled_by_its_bits(name: str, bits: int, white: int) -> None:
    deep = np.linspace(0, white, 60 * 90).reshape(60, 90).astype(np.uint16)
    actual = decode(encoded(deep, name))
    assert np.abs(actual.pixels - deep * (255 / white)).max() <= 0.5


def test_sixteen_bits_that_hold_eight_equal_the_eight(noise: NDArray[np.uint8]) -> None:
    assert np.array_equal(decode(encoded(noise.astype(np.uint16) * 257, "PNG")).pixels, noise)


def test_floating_point_tiff_is_stretched_and_holes_are_black() -> None:
    ramp = np.linspace(-5, 5, 6000, dtype=np.float32).reshape(60, 100)
    ramp[0, 0] = np.nan
    actual = decode(encoded(ramp, "TIFF")).pixels
    assert actual[0, 0] == 0
    assert actual.max() == 255
    assert (np.diff(actual[30].astype(int)) >= 0).all()


def test_bilevel() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (40, 20))).convert("1")
    for name in LOSSLESS:
        assert set(np.unique(decode(encoded(stripes, name)).pixels)) == {0, 255}


def test_palette_is_looked_up(noise: NDArray[np.uint8]) -> None:
    inverted = Image.fromarray(noise)
    inverted.putpalette([255 - index // 3 for index in range(768)])
    assert np.array_equal(decode(encoded(inverted, "PNG")).pixels, 255 - noise)


def test_palette_with_a_transparent_entry_lies_over_black() -> None:
    picture = Image.fromarray(np.tile(np.array([0, 1], np.uint8), (20, 20)))
    picture.putpalette([255, 255, 255, 200, 200, 200])
    actual = decode(encoded(picture, "PNG", transparency=0)).pixels
    assert actual[0].tolist()[:4] == [0, 200, 0, 200]


@pytest.mark.parametrize("name", LOSSLESS)
def test_alpha_lies_over_black(name: str) -> None:
    rgba = np.full((20, 20, 4), 200, np.uint8)
    rgba[:10, :, 3], rgba[10:, :, 3] = 0, 255
    actual = decode(encoded(rgba, name))
    assert (actual.pixels[:10] == 0).all()
    assert (actual.pixels[10:] == 200).all()
    half = np.dstack([np.full((8, 8), 200, np.uint8), np.full((8, 8), 128, np.uint8)])
    assert (decode(encoded(Image.fromarray(half, "LA"), "PNG")).pixels == 100).all()


def test_transparent_sixteen_bit_grey_is_black() -> None:
    deep = np.full((8, 8), 40000, np.uint16)
    deep[0, 0] = 65535
    header = struct.pack(">IIBBBBB", 8, 8, 16, 0, 0, 0, 0)
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in deep)
    chunks = [(b"IHDR", header), (b"tRNS", b"\xff\xff"), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    actual = decode(_png(chunks)).pixels
    assert actual[0, 0] == 0
    assert actual[1, 1] > 150


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk(name: str) -> None:
    grey = Image.fromarray(np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 32, 0)).convert("RGB")
    actual = decode(encoded(grey.convert("CMYK"), name, quality=100)).pixels
    assert np.abs(actual.astype(int) - np.asarray(grey.convert("L"))).max() <= 6


def test_white_is_zero_tiff_is_turned() -> None:
    # Nine entries of a little TIFF: 4 by 2 pixels of 16 bits, photometric interpretation 0.
    pixels = np.arange(8, dtype="<u2") * 8000
    entries = [(256, 4), (257, 2), (258, 16), (259, 1), (262, 0), (273, 8), (277, 1), (278, 2), (279, 16)]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + b"\0\0\0\0"
    data = b"II*\0" + struct.pack("<I", 24) + pixels.tobytes() + directory
    actual = decode(data).pixels.ravel()
    assert actual[0] == 255
    assert (np.diff(actual.astype(int)) < 0).all()


def test_colour_is_measured() -> None:
    assert decode(encoded(np.full((16, 16, 3), (200, 120, 60), np.uint8), "PNG")).chroma == 140
    grey = np.repeat(np.arange(16, dtype=np.uint8)[:, None, None], 3, 2).repeat(16, 1)
    assert decode(encoded(grey, "PNG")).chroma == 0


def test_one_pixel() -> None:
    assert decode(encoded(np.array([[9]], np.uint8), "PNG")).pixels.tolist() == [[9]]


def test_type_is_told_from_the_bytes(noise: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "picture.dcm"
    path.write_bytes(encoded(noise, "PNG"))
    assert np.array_equal(decode(path.read_bytes()).pixels, noise)


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"patient;finding\n1;none\n" * 40, "not_a_picture"),
        ("Größe: 1,80 m; Röntgen links".encode(), "not_a_picture"),
        (b"%PDF-1.7\n", "not_a_picture"),
        (b"GIF89a" + b"\0" * 40, "not_a_picture"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "not_a_picture"),
        (b"\0" * 400, "not_a_picture"),
        (b"<!DOCTYPE html><html></html>", "not_a_picture"),
        (bytes(range(256)), "not_a_picture"),
        (b"PK\x03\x04\x14\x00\x00\x00", "not_a_picture"),
        (b"PK\x03\x04\x14\x00\x01\x00", "encrypted"),
        (b"-----BEGIN PGP MESSAGE-----", "encrypted"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"\xff\xd8\xff\xe0", "truncated"),
        (b"II*\0\x08\0\0\0", "corrupt"),
    ],
)
def test_what_is_no_picture(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


def test_the_sentence_tells_what_the_file_is() -> None:
    with pytest.raises(UnreadableError, match="PDF document"):
        decode(b"%PDF-1.7\n")
    with pytest.raises(UnreadableError, match="is text"):
        decode(b"not a picture")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF"])
def test_a_file_that_ends_early_is_refused(noise: NDArray[np.uint8], name: str, share: float) -> None:
    data = encoded(noise, name)
    assert kind_of(data[: int(len(data) * share)]) in ("truncated", "corrupt")


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_scan_that_ends_early_is_refused_though_the_file_is_closed(
    noise: NDArray[np.uint8], options: dict[str, object]
) -> None:
    data = encoded(noise, "JPEG", **options)
    start = data.rindex(b"\xff\xda") + 20
    cut = data[: start + (len(data) - start) // 2].rstrip(b"\xff") + b"\xff\xd9"
    assert kind_of(cut) == "truncated"


def test_truncated_files_of_the_source(truncated_files: list[Path]) -> None:
    assert len(truncated_files) == 4
    for path in truncated_files:
        assert kind_of(path.read_bytes()) == "truncated"


def test_png_without_its_end_is_refused(noise: NDArray[np.uint8]) -> None:
    assert kind_of(encoded(noise, "PNG")[:-12]) == "truncated"


def test_png_with_a_flipped_bit_is_refused(noise: NDArray[np.uint8]) -> None:
    data = bytearray(encoded(noise, "PNG"))
    data[len(data) // 2] ^= 1
    assert kind_of(bytes(data)) == "corrupt"


def test_jpeg_with_padding_between_segments_is_read(noise: NDArray[np.uint8]) -> None:
    data = encoded(noise, "JPEG")
    for marker in (b"\xff\xc0", b"\xff\xda", b"\xff\xd9"):
        padded = data.replace(marker, b"\x00\x00" + marker, 1)
        assert np.array_equal(decode(padded).pixels, decode(data).pixels)
        assert kind_of(padded[: len(padded) // 2] + b"\xff\xd9") == "truncated"


@pytest.mark.parametrize("side", [50_000, 65_535])
def test_a_huge_header_is_refused_without_allocating(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    assert kind_of(_png([(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")])) == "too_many_pixels"
    small = bytearray(encoded(np.zeros((8, 8), np.uint8), "JPEG"))
    frame = small.index(b"\xff\xc0")
    small[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    assert kind_of(bytes(small)) == "too_many_pixels"
    tiff = bytearray(encoded(np.zeros((8, 8), np.uint8), "TIFF"))
    for tag in (256, 257):
        entry = tiff.index(struct.pack("<HHI", tag, 4, 1))
        tiff[entry + 8 : entry + 12] = struct.pack("<I", side)
    assert kind_of(bytes(tiff)) == "too_many_pixels"


def test_limits_on_bytes_and_pixels(noise: NDArray[np.uint8]) -> None:
    data = encoded(noise, "PNG")
    assert kind_of(data, Limits(file_bytes=len(data) - 1)) == "too_large"
    assert kind_of(data, Limits(pixels=noise.size - 1)) == "too_many_pixels"
    assert kind_of(data, Limits(side=89)) == "too_many_pixels"
    decode(data, Limits(file_bytes=len(data), pixels=noise.size, side=90))


def test_several_pages_are_refused_but_not_thumbnails(noise: NDArray[np.uint8]) -> None:
    first, second = Image.fromarray(noise), Image.fromarray(noise[::2, ::2])
    assert kind_of(encoded(first, "TIFF", save_all=True, append_images=[second])) == "multi_frame"
    assert kind_of(encoded(first, "PNG", save_all=True, append_images=[first.rotate(90)])) == "multi_frame"
    second.encoderinfo = {"tiffinfo": {254: 1}}
    with_thumbnail = encoded(first, "TIFF", save_all=True, append_images=[second])
    assert np.array_equal(decode(with_thumbnail).pixels, noise)


@pytest.mark.parametrize(("marker", "precision"), [(0xC1, 12), (0xC3, 8), (0xC3, 16)])
def test_jpeg_of_rare_kinds_is_refused(noise: NDArray[np.uint8], marker: int, precision: int) -> None:
    data = bytearray(encoded(noise, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, precision
    assert kind_of(bytes(data)) == "unsupported_encoding"


def test_jpeg_of_a_thousand_scans_is_refused(noise: NDArray[np.uint8]) -> None:
    data = encoded(noise, "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert kind_of(data[:-2] + last * 200 + b"\xff\xd9") == "corrupt"


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    file = BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(8)
    for kind, body in chunks:
        file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    return file.getvalue()


def halved(data: bytes) -> bytes:
    """The same TIFF whose directory claims half of every strip's bytes."""
    with Image.open(BytesIO(data)) as picture:
        sizes = picture.tag_v2[279]
    for kind in "IH":
        old, new = (struct.pack(f"<{len(sizes)}{kind}", *(size // by for size in sizes)) for by in (1, 2))
        if old in data:
            return data.replace(old, new)
    raise AssertionError("the sizes are not where they should be")


@pytest.mark.parametrize(
    ("compression", "kind"),
    [("jpeg", "truncated"), ("tiff_lzw", "corrupt"), ("tiff_adobe_deflate", "corrupt")],
)
def test_compressed_tiff_that_ends_early_is_refused_without_a_word_on_stderr(
    noise: NDArray[np.uint8], capfd: pytest.CaptureFixture[str], compression: str, kind: str
) -> None:
    """libtiff completes JPEG with grey, and prints its complaints about the others for nobody."""
    data = encoded(noise, "TIFF", compression=compression)
    assert kind_of(halved(data)) == kind
    assert capfd.readouterr().err == ""
    assert decode(data).pixels.shape == noise.shape


def test_fax_codes_with_damaged_lines_are_refused(
    noise: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    """libtiff leaves such lines out and goes on."""
    file = BytesIO()
    Image.fromarray(noise).convert("1").save(file, "TIFF", compression="group3")
    data = bytearray(file.getvalue())
    with Image.open(file) as picture:
        start, size = picture.tag_v2[273][0], picture.tag_v2[279][0]
    assert decode(bytes(data)).pixels.shape == noise.shape
    data[start + size // 2 : start + size] = bytes(size - size // 2)
    assert kind_of(bytes(data)) == "corrupt"
    assert capfd.readouterr().err == ""


def test_others_still_hear_libtiff(noise: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]) -> None:
    """Its handler is ours for as long as we decode."""
    data = halved(encoded(noise, "TIFF", compression="tiff_lzw"))
    kind_of(data)
    with Image.open(BytesIO(data)) as picture, pytest.raises(OSError, match="-2"):
        picture.load()
    assert "LZWDecode" in capfd.readouterr().err
