"""TIFF to a radiograph. Greys and colours of rare sample types are unpacked here; Pillow does the others.

Pillow decodes 8 and 1 bit, palettes, CMYK, JPEG and fax. Of more bits it knows some kinds, gets others wrong
in silence (separate planes, signed and float samples, a predictor on packed bits) and shortens colours to
their upper byte. Samples of these kinds are taken from their strips and tiles here, at their full depth.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from inference_worker import bigtiff
from inference_worker.decode import depth, grey, libtiff
from inference_worker.decode.limits import Limits
from inference_worker.decode.upright import Shown, finish
from inference_worker.jpeg_header import check_scans
from inference_worker.tiff_layout import (
    BLACK_IS_ZERO,
    DEFLATE,
    FLOAT,
    FLOATING,
    HORIZONTAL,
    JPEG,
    OLD_DEFLATE,
    RAW,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    Layout,
)
from inference_worker.types import Radiograph, UnreadableError

_NEW_SUBFILE_TYPE, _REDUCED_RESOLUTION = 254, 1
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _X_RESOLUTION, _Y_RESOLUTION, _PLANAR = 274, 277, 278, 282, 283, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLES, _FORMAT = 317, 322, 323, 338, 339
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 273, 279, 324, 325

_ALPHA = 2  # not multiplied into the colours
_MOST_PAGES = 32
_MOST_PIECES = 300_000
_UNPACKED_AT_ONCE = 1_000_000
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_JPEG_END = b"\xff\xd9"

Directory = TiffImagePlugin.ImageFileDirectory_v2


def decode(data: bytes, limits: Limits) -> Radiograph:
    """A TIFF of one page (smaller copies of it aside) to a radiograph. Raises `UnreadableError`."""
    try:
        data = bigtiff.classic(data)
        directory = _first_page(data)
        layout = _layout(directory)
        limits.check_size(layout.width, layout.height)
        if not layout.is_decoded:
            raise _rare()
        if layout.is_ordinary:
            shown = _by_pillow(data, directory, limits)
        else:
            shown = _shown(_unpacked(data, directory, layout, limits), directory, layout)
        orientation = _one(directory, _ORIENTATION, 1)
        return finish(shown, limits, tall=_tall(directory), orientation=orientation)
    except (UnreadableError, MemoryError):
        raise
    # Parsers of hostile input raise whatever Python raised inside them.
    except Exception as error:
        if "truncated" in str(error) or "unexpected end" in str(error).lower():
            raise _truncated() from error
        raise _corrupt() from error


def _first_page(data: bytes) -> Directory:
    """The first directory; others may only be smaller copies of its picture."""
    first: Directory | None = None
    seen: set[int] = set()
    file = BytesIO(data)
    header = data[:8]
    directory = Directory(header)
    at = directory.next
    while at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        directory = Directory(header)
        file.seek(at)
        directory.load(file)
        if first is None:
            first = directory
        elif not _one(directory, _NEW_SUBFILE_TYPE, 0) & _REDUCED_RESOLUTION:
            raise UnreadableError(
                "multi_frame", "The TIFF holds several pages; send each picture as a file of its own."
            )
        at = directory.next or 0
    if first is None or _WIDTH not in first or _HEIGHT not in first:
        raise _corrupt()
    return first


def _layout(directory: Directory) -> Layout:
    samples = _one(directory, _SAMPLES, 1)
    bits, formats = _several(directory, _BITS, (1,)), _several(directory, _FORMAT, (UNSIGNED,))
    if len(set(bits)) != 1 or len(set(formats)) != 1:
        raise _corrupt()
    return Layout(
        width=_one(directory, _WIDTH, 0),
        height=_one(directory, _HEIGHT, 0),
        bits=bits[0],
        samples=samples,
        format=formats[0],
        photometric=_one(directory, _PHOTOMETRIC, BLACK_IS_ZERO),
        compression=_one(directory, _COMPRESSION, RAW),
        predictor=_one(directory, _PREDICTOR, 1),
        is_planar=_one(directory, _PLANAR, 1) == 2 and samples > 1,
    )


def _tall(directory: Directory) -> float | None:
    """Height of a pixel by its width, from the resolutions across and down."""
    try:
        across, down = (float(directory[tag]) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return across / down if across > 0 and down > 0 and math.isfinite(across / down) else None


def _by_pillow(data: bytes, directory: Directory, limits: Limits) -> Shown:
    with Image.open(BytesIO(data), formats=["TIFF"]) as picture:
        limits.check_size(*picture.size)
        _check_tiles(directory, limits)
        _check_jpeg_pieces(directory, data)
        # The picture is turned by `decode`, and only by its own tag: Pillow would also ask its XMP.
        picture.getexif().pop(_ORIENTATION, None)
        with libtiff.capture_warnings() as damage:
            picture.load()
        if damage:
            raise _corrupt()
        return Shown(*grey.from_picture(picture))


def _check_tiles(directory: Directory, limits: Limits) -> None:
    """A tile is allocated whole, however small the picture."""
    if _TILES in directory:
        limits.check_size(_one(directory, _TILE_WIDTH, 0), _one(directory, _TILE_HEIGHT, 0))


def _check_jpeg_pieces(directory: Directory, data: bytes) -> None:
    """JPEG in a TIFF: libtiff completes a strip or tile that was cut short with grey, and is silent."""
    if directory.get(_COMPRESSION) != JPEG:
        return
    check_scans(data, max(1, len(directory.get(_STRIPS, ())), len(directory.get(_TILES, ()))))
    for starts, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
        for start, size in zip(directory.get(starts, ()), directory.get(sizes, ()), strict=False):
            if not data[start : start + size].rstrip(b"\x00\xff").endswith(_JPEG_END):
                raise _truncated()


def _unpacked(data: bytes, directory: Directory, layout: Layout, limits: Limits) -> NDArray[Any]:
    """The samples, ``(H, W, C)``, at their own depth and type."""
    has_tiles = _TILES in directory
    if has_tiles:
        _check_tiles(directory, limits)
        across, down = _one(directory, _TILE_WIDTH, 0), _one(directory, _TILE_HEIGHT, 0)
        starts, sizes = _several(directory, _TILES, ()), _several(directory, _TILE_SIZES, ())
    else:
        across, down = layout.width, min(_one(directory, _ROWS_PER_STRIP, layout.height), layout.height)
        starts, sizes = _several(directory, _STRIPS, ()), _several(directory, _STRIP_SIZES, ())
    if down < 1:
        raise _corrupt()
    planes = layout.samples if layout.is_planar else 1
    if planes * -(-layout.height // down) * -(-layout.width // across) > _MOST_PIECES:
        raise _corrupt()
    places = [
        (plane, top, left)
        for plane in range(planes)
        for top in range(0, layout.height, down)
        for left in range(0, layout.width, across)
    ]
    if len(sizes) < len(places) or len(starts) < len(places):
        raise _truncated()
    is_little = data[:2] == b"II"
    depth = layout.samples // planes
    samples: NDArray[Any] | None = None
    for (plane, top, left), start, size in zip(places, starts, sizes, strict=False):
        rows = down if has_tiles else min(down, layout.height - top)
        row_bytes = -(-across * depth * layout.bits // 8)
        piece = data[start : start + size]
        if len(piece) < size:
            raise _truncated()
        if _one(directory, _FILL_ORDER, 1) == 2:
            piece = piece.translate(_REVERSED)
        content = _decompressed(piece, layout.compression, rows, row_bytes)
        if len(content) < rows * row_bytes:
            raise _truncated()
        lines = np.frombuffer(content, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
        values = _samples(lines, across, depth, layout, is_little)
        if samples is None:
            samples = np.zeros((layout.height, layout.width, layout.samples), values.dtype)
        bottom, right = min(top + rows, layout.height), min(left + across, layout.width)
        channels = slice(plane, plane + 1) if layout.is_planar else slice(None)
        samples[top:bottom, left:right, channels] = values[: bottom - top, : right - left]
    if samples is None:
        raise _corrupt()
    return samples


def _decompressed(piece: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """The bytes of a strip or tile."""
    if compression == RAW:
        return piece
    if compression in (DEFLATE, OLD_DEFLATE):
        return zlib.decompressobj().decompress(piece, rows * row_bytes)
    # For libtiff a picture of plain bytes in one strip: it unpacks them and looks no further.
    entries = [(256, row_bytes), (257, rows), (258, 8), (259, compression), (262, 1), (273, 8), (277, 1)]
    entries += [(278, rows), (279, len(piece))]
    at = 8 + len(piece) + len(piece) % 2
    directory = len(entries).to_bytes(2, "little") + b"".join(
        tag.to_bytes(2, "little") + b"\x04\x00\x01\x00\x00\x00" + value.to_bytes(4, "little")
        for tag, value in entries
    )
    file = b"II*\x00" + at.to_bytes(4, "little") + piece.ljust(at - 8, b"\x00") + directory + bytes(4)
    with Image.open(BytesIO(file), formats=["TIFF"]) as picture, libtiff.capture_warnings() as damage:
        content = picture.tobytes()
    if damage:
        raise _corrupt()
    return content


def _samples(
    lines: NDArray[np.uint8], width: int, depth: int, layout: Layout, is_little: bool
) -> NDArray[Any]:
    """``uint8 (rows, bytes)`` to samples ``(rows, width, depth)``, the predictor undone."""
    rows, count, bits = len(lines), width * depth, layout.bits
    order = "<" if is_little else ">"
    if layout.predictor == FLOATING:
        summed = lines.reshape(rows, -1, depth).cumsum(axis=1, dtype=np.uint8).reshape(rows, bits // 8, count)
        joined = np.ascontiguousarray(summed.transpose(0, 2, 1)).reshape(rows, -1)
        return joined.view(f">f{bits // 8}").astype(f"f{bits // 8}").reshape(rows, width, depth)
    if bits in (8, 16, 32, 64):
        values = np.ascontiguousarray(lines).view(f"{order}u{bits // 8}").astype(f"u{bits // 8}")
    elif bits == 24:
        parts = lines.reshape(rows, count, 3)[..., :: 1 if is_little else -1].astype(np.uint32)
        values = parts[..., 0] | parts[..., 1] << 8 | parts[..., 2] << 16
    else:
        values = np.concatenate(list(_packed(lines, count, bits)))
    values = values.reshape(rows, width, depth)
    if layout.predictor == HORIZONTAL:
        values = values.cumsum(axis=1, dtype=values.dtype) & values.dtype.type(2**bits - 1)
    if layout.format == FLOAT:
        return values.view(f"f{bits // 8}")
    return values.view(f"i{bits // 8}") if layout.format == SIGNED else values


def _packed(lines: NDArray[np.uint8], count: int, bits: int) -> Iterator[NDArray[Any]]:
    """Lines of ``count`` numbers that follow each other bit by bit, highest first, some lines at a time."""
    wide = 16 if bits <= 16 else 32
    step = max(1, _UNPACKED_AT_ONCE // max(1, count))
    for start in range(0, len(lines), step):
        some = lines[start : start + step]
        padded = np.zeros((len(some), count, wide), np.uint8)
        padded[..., wide - bits :] = np.unpackbits(some, axis=1, count=count * bits).reshape(-1, count, bits)
        numbers = np.packbits(padded.reshape(len(some), -1), axis=1).view(f">u{wide // 8}")
        yield numbers.astype(f"u{wide // 8}")


def _shown(samples: NDArray[Any], directory: Directory, layout: Layout) -> Shown:
    colours = 3 if layout.photometric == RGB else 1
    values = samples[..., :colours]
    black, white = _bounds(values, layout)
    pixels = grey.stretch(values, black, white)
    if layout.photometric == WHITE_IS_ZERO:
        pixels = 255 - pixels
        black, white = white, black
    if layout.format == FLOAT:
        pixels[~np.isfinite(values)] = 0
    extra = _several(directory, _EXTRA_SAMPLES, ())
    # Associated alpha is multiplied into the colours already; what has no meaning stated is no alpha.
    if _ALPHA in extra and colours + extra.index(_ALPHA) < layout.samples:
        alphas = samples[..., colours + extra.index(_ALPHA)]
        alpha = grey.opacity(alphas)
        if alpha.min(initial=255) < 255:
            rgba = np.dstack([np.broadcast_to(pixels, (*alpha.shape, 3)), alpha])
            return Shown(*grey.from_rgb(grey.over_black(rgba)))
    if colours == 3 and not grey.is_grey(values):
        return Shown(*grey.from_rgb(pixels))
    first = np.ascontiguousarray(values[..., 0])
    return Shown(np.ascontiguousarray(pixels[..., 0]), depth=depth.linear(first, black, white))


def _bounds(values: NDArray[Any], layout: Layout) -> tuple[float, float]:
    """The values to show black and white, of samples of any type."""
    if layout.format == FLOAT or values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        return grey.bounds(values)
    if layout.bits < 8:
        return 0.0, float(2**layout.bits - 1)
    return 0.0, grey.white_of(values.astype(np.uint16))


def _one(directory: Directory, tag: int, default: int) -> int:
    return int(_several(directory, tag, (default,))[0])


def _several(directory: Directory, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    value = directory.get(tag)
    if value is None:
        return default
    return tuple(int(one) for one in value) if isinstance(value, tuple) else (int(value),)


def _truncated() -> UnreadableError:
    return UnreadableError("truncated", "The TIFF ends before its last line; send it again from its source.")


def _rare() -> UnreadableError:
    return UnreadableError(
        "unsupported_encoding",
        "The TIFF's samples are of a rare kind that cannot be decoded here; export it as ordinary TIFF.",
    )


def _corrupt() -> UnreadableError:
    return UnreadableError(
        "corrupt",
        "The TIFF is damaged or of a rare kind and cannot be decoded; export it as ordinary TIFF.",
    )
