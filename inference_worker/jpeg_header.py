"""A JPEG's segments and frame header, for the intake and the decoder. Imports no decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from inference_worker.types import UnreadableError

SCAN, END, APP0, APP1 = 0xDA, 0xD9, 0xE0, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
#: Frame types that are decoded here: baseline, extended and progressive Huffman.
HUFFMAN = (0, 1, 2)
#: An ordinary progressive JPEG has about ten scans. Each costs a pass over the whole picture.
_MOST_SCANS = 100


@dataclass(frozen=True, slots=True)
class Frame:
    """A JPEG's frame header: the SOF marker's low nibble (0 baseline, 2 progressive, 3 lossless)."""

    process: int
    precision: int
    width: int
    height: int
    components: int


def frame_header(data: bytes) -> Frame:
    """Parse the first frame header of a JPEG (ITU-T T.81, B.2.2) or JPEG-LS (marker F7) stream.

    Raises `UnreadableError` (``truncated``).
    """
    for marker, start, end in segments(data):
        if marker in _FRAMES:
            body = data[start + 4 : end]
            if len(body) < 6:
                break
            return Frame(
                process=marker & 0x0F,
                precision=body[0],
                height=int.from_bytes(body[1:3], "big"),
                width=int.from_bytes(body[3:5], "big"),
                components=body[5],
            )
    raise truncated()


def check_scans(data: bytes, pictures: int = 1) -> None:
    """Refuse JPEG data of so many pictures that asks for far more passes over them than any camera writes."""
    if data.count(b"\xff\xda") > _MOST_SCANS * pictures:
        raise UnreadableError(
            "corrupt", f"The JPEG claims more than {_MOST_SCANS} scans; export it again as ordinary JPEG."
        )


def scan_start(data: bytes) -> int:
    """Where the first scan's header begins; -1 if the stream ends before it."""
    return next((start for marker, start, _end in segments(data) if marker == SCAN), -1)


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment before the first scan's data; filler between them is skipped."""
    at = data.find(b"\xff", 2)
    while 0 <= at <= len(data) - 4:
        marker = data[at + 1]
        if marker == END:
            return
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # filler, or a marker without a body
            at = data.find(b"\xff", at + 1)
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at, end
        if marker == SCAN:
            return
        at = data.find(b"\xff", end)


def exif_blocks(data: bytes) -> list[bytes]:
    """The EXIF blocks before the first scan, in the order of their segments."""
    return [
        data[start + 10 : end]
        for marker, start, end in segments(data)
        if marker == APP1 and data[start + 4 : start + 10] == b"Exif\x00\x00"
    ]


def jfif_tall(data: bytes) -> Fraction | None:
    """Height of a pixel by its width, from JFIF's densities across and down.

    None where there are none, and where they are what programs write that know of none: 1 by 1 of no unit.
    """
    for marker, start, end in segments(data):
        if marker == APP0 and data[start + 4 : start + 9] == b"JFIF\x00" and end - start >= 18:
            unit = data[start + 11]
            across = int.from_bytes(data[start + 12 : start + 14], "big")
            down = int.from_bytes(data[start + 14 : start + 16], "big")
            says_nothing = not across or not down or (unit, across, down) == (0, 1, 1)
            return None if says_nothing else Fraction(across, down)
    return None


def truncated() -> UnreadableError:
    """The error of a JPEG that ends before its last line."""
    return UnreadableError("truncated", "The JPEG ends before its last line; send it again from its source.")
