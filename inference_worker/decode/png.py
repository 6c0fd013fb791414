"""PNG to a radiograph, through Pillow, its chunks checked first and 16-bit colours at their full depth.

Pillow accepts a missing end, does not check IDAT's sums, and of 16-bit colours takes only the upper byte.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference_worker import exif
from inference_worker.decode import depth, grey
from inference_worker.decode.limits import Limits
from inference_worker.decode.upright import Shown, finish
from inference_worker.types import Radiograph, UnreadableError

_SIGNATURE_BYTES = 8
_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_GREY, _RGB, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 4, 6


@dataclass(frozen=True, slots=True)
class Header:
    """Size in pixels, bits per sample and colour type, from IHDR."""

    width: int
    height: int
    depth: int
    colour: int


@dataclass(frozen=True, slots=True)
class Extras:
    """What the chunks say: the picture in those that Pillow needs; the rest of them only trips it.

    Orientation from eXIf; height of a pixel by its width from pHYs, else eXIf (``None``: from neither).
    """

    plain: bytes
    orientation: int
    tall: Fraction | None


def decode(data: bytes, limits: Limits) -> Radiograph:
    """A PNG to a radiograph. Raises `UnreadableError`."""
    header = parse_header(data)
    limits.check_size(header.width, header.height)
    extras = check_chunks(data)
    try:
        plain = extras.plain
        shown = _deep(plain, header) if header.depth == 16 else _shallow(plain)
    except (UnreadableError, MemoryError):
        raise
    # Pillow's parsers of hostile input raise whatever Python raised inside them.
    except Exception as error:
        if "truncated" in str(error) or "unexpected end" in str(error).lower():
            raise _truncated() from error
        raise UnreadableError(
            "corrupt",
            "The PNG is damaged or of a rare kind and cannot be decoded; export it as ordinary PNG.",
        ) from error
    return finish(shown, limits, tall=extras.tall, orientation=extras.orientation)


def parse_header(data: bytes) -> Header:
    """Parse the size and depth of a PNG. Raises `UnreadableError` (``truncated``, ``corrupt``)."""
    if len(data) < _SIGNATURE_BYTES + 8 + 13:
        raise _truncated()
    if data[12:16] != b"IHDR":
        raise _corrupt()
    return Header(
        width=int.from_bytes(data[16:20], "big"),
        height=int.from_bytes(data[20:24], "big"),
        depth=data[24],
        colour=data[25],
    )


def check_chunks(data: bytes) -> Extras:
    """Walk to IEND; sums of critical chunks must match, and others count for nothing where theirs do not.

    Raises `UnreadableError`.
    """
    view = memoryview(data)
    at = _SIGNATURE_BYTES
    blocks: list[bytes] = []
    plain = [view[:at]]
    tall, has_pixels = None, False
    while at + 12 <= len(data):
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise _truncated()
        is_whole = zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big")
        is_critical = not kind[0] & 0x20
        if is_critical and not is_whole:
            raise _corrupt()
        body = view[at + 8 : end - 4]
        has_pixels = has_pixels or kind == b"IDAT"
        if kind in _NEEDED or (kind == b"tRNS" and is_whole and len(body) and not has_pixels):
            plain.append(view[at:end])
        if not is_whole:
            pass
        elif kind == b"acTL" and not has_pixels and int.from_bytes(body[:4], "big") > 1:
            raise UnreadableError(
                "multi_frame", "The PNG is animated; send each picture as a file of its own."
            )
        elif kind == b"eXIf":
            blocks.append(bytes(body))
        elif kind == b"pHYs" and len(body) == 9:
            across, down = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            tall = Fraction(across, down) if across and down else None
        elif kind == b"IEND":
            stated = exif.read(blocks)
            return Extras(b"".join(plain), stated.orientation, tall or stated.tall)
        at = end
    raise _truncated()


def _shallow(data: bytes) -> Shown:
    with Image.open(BytesIO(data), formats=["PNG"]) as picture:
        picture.load()
        return Shown(*grey.from_picture(picture))


def _deep(data: bytes, header: Header) -> Shown:
    """16-bit samples to display levels and, where they are grey, their own depth."""
    if header.colour == _GREY:
        values, hole = _samples(data, "I;16", "I;16B")
        levels = values.astype(np.uint16)
        if isinstance(hole, int):
            levels[levels == hole] = 0
        return _grey(levels)
    if header.colour == _GREY_ALPHA:
        # As four bytes a pixel, which PNG's filters do not tell from two of 16 bits.
        split, _hole = _samples(data, "RGBA", "RGBA")
        both = np.ascontiguousarray(split).view(">u2").astype(np.uint16)
        if both[..., 1].min() == 0xFFFF:
            return _grey(both[..., 0])
        return _over_black(np.repeat(both[..., :1], 3, axis=2), both[..., 1])
    mode = "RGB" if header.colour == _RGB else "RGBA"
    upper, hole = _samples(data, mode, f"{mode};16B")
    lower, _hole = _samples(data, mode, f"{mode};16L")  # the other byte of each pair
    values = upper.astype(np.uint16) << 8 | lower
    if mode == "RGBA" and values[..., 3].min() < 0xFFFF:
        return _over_black(values[..., :3], values[..., 3])
    if isinstance(hole, tuple):
        values[(values == np.array(hole, np.uint16)).all(axis=2)] = 0
    if grey.is_grey(values[..., :3]):
        return _grey(values[..., 0])
    return Shown(*grey.from_rgb(grey.from_deep(values[..., :3])))


def _grey(values: NDArray[np.uint16]) -> Shown:
    white = grey.white_of(values)
    return Shown(grey.stretch(values, 0.0, white), depth=depth.linear(values, 0.0, white))


def _samples(data: bytes, mode: str, raw: str) -> tuple[NDArray[Any], Any]:
    """The picture unpacked as Pillow's raw mode ``raw``, and its transparent colour, if any."""
    with Image.open(BytesIO(data), formats=["PNG"]) as picture:
        if picture.mode != mode:
            raise ValueError(f"{picture.mode} instead of {mode}")
        picture.tile = [tile._replace(args=raw) for tile in picture.tile]
        hole = picture.info.get("transparency")
        picture.load()
        return np.asarray(picture), hole


def _over_black(colours: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> Shown:
    return Shown(*grey.from_rgb(grey.over_black(np.dstack([grey.from_deep(colours), grey.opacity(alpha)]))))


def _truncated() -> UnreadableError:
    return UnreadableError("truncated", "The PNG ends before its last line; send it again from its source.")


def _corrupt() -> UnreadableError:
    return UnreadableError(
        "corrupt", "The PNG is damaged (a checksum is wrong); send it again from its source."
    )
