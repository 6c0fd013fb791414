"""What EXIF says of the pixels: which way up, and how high they are by their width.

For the intake, which keeps nothing else of EXIF, and for the decoders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

ORIENTATION, X_RESOLUTION, Y_RESOLUTION = 0x0112, 0x011A, 0x011B
#: What a JPEG writes before the block, and some programs in PNG, too.
_PREFIX = b"Exif\x00\x00"
#: Bytes of a whole number by its type: BYTE, SHORT, LONG and the same with a sign. For an orientation the
#: standard says SHORT; cameras write the others too.
_SIZES = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4}
_RATIONAL = 5
#: Honest directories have some dozen entries; each costs time.
_MOST_ENTRIES = 200
#: No pixel is a hundred times as high as wide, and a ratio needs no more digits.
_TALLEST, _FINEST = 100, 10_000


@dataclass(frozen=True, slots=True)
class Stated:
    """The way up (1 to 8; 1: as stored), and height of a stored pixel by its width (None: not stated)."""

    orientation: int = 1
    tall: Fraction | None = None


def read(blocks: Iterable[bytes]) -> Stated:
    """What a file's TIFF-structured blocks state; each value from the first that states it.

    A block that is longer than a JPEG's segment goes on in the next one.
    """
    known = [block.removeprefix(_PREFIX) for block in blocks]
    orientation, tall = 1, None
    for block in (b"".join(known), *reversed(known)):  # what is found later counts
        numbers = dict(_numbers(block))
        orientation = _orientation(numbers) or orientation
        tall = _tall(numbers) or tall
    return Stated(orientation, tall)


def _orientation(numbers: dict[int, Fraction]) -> int | None:
    value = numbers.get(ORIENTATION, Fraction(0))
    return int(value) if value.denominator == 1 and 1 <= value <= 8 else None


def _tall(numbers: dict[int, Fraction]) -> Fraction | None:
    across, down = numbers.get(X_RESOLUTION), numbers.get(Y_RESOLUTION)
    if not across or not down:
        return None
    ratio = (across / down).limit_denominator(_FINEST)
    return ratio if Fraction(1, _TALLEST) <= ratio <= _TALLEST else None


def _numbers(block: bytes) -> Iterator[tuple[int, Fraction]]:
    """Tag and value of the first directory's entries that are asked for; of equal tags the first is last."""
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    if block[:2] not in (b"II", b"MM") or len(block) < 8:
        return

    def number(start: int, size: int) -> int:
        return int.from_bytes(block[start : start + size], order)

    directory = number(4, 4)
    entries = min(number(directory, 2), _MOST_ENTRIES, (len(block) - directory - 2) // 12)
    for at in reversed(range(directory + 2, directory + 2 + 12 * entries, 12)):
        tag, kind = number(at, 2), number(at + 2, 2)
        if tag not in (ORIENTATION, X_RESOLUTION, Y_RESOLUTION) or number(at + 4, 4) != 1:
            continue
        where = number(at + 8, 4)
        if kind in _SIZES:
            yield tag, Fraction(number(at + 8, _SIZES[kind]))
        elif kind == _RATIONAL and where + 8 <= len(block) and number(where + 4, 4):
            yield tag, Fraction(number(where, 4), number(where + 4, 4))
