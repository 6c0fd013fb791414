"""Ways to damage a file, as transfers, disks and strange programs do, and as somebody hostile would."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

#: Numbers at which sizes, counts and offsets go wrong.
EDGES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TEXTS = (b"NaN", b"inf", b"-1", b"0", b"1e999", b"1,5", b"\\", b"", b"99999999999999999999", b"\x00\x00")
#: The beginnings of headers lie here, and most that can go wrong does.
HEAD = 600

Damage = Callable[[Random, bytearray, Sequence[bytes]], bytes]


def _flip(random: Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    for _number in range(random.randint(1, 12)):
        data[_place(random, data)] ^= 1 << random.randrange(8)
    return bytes(data)


def _number(random: Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    """A word of 8, 16 or 32 bits in either order becomes an edge."""
    form = random.choice(["B", "<H", ">H", "<I", ">I"])
    size = struct.calcsize(form)
    at = min(_place(random, data), max(0, len(data) - size))
    data[at : at + size] = struct.pack(form, random.choice(EDGES) & (256**size - 1))
    return bytes(data)


def _text(random: Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    text, at = random.choice(TEXTS), _place(random, data)
    data[at : at + len(text)] = text
    return bytes(data)


def _cut(random: Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    return bytes(data[: random.randrange(1, max(2, len(data)))])


def _drop(random: Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    del data[at : at + random.choice([1, 2, 4, 8, 100, 2000])]
    return bytes(data) or b"\x00"


def _repeat(random: Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    at, size = _place(random, data), random.choice([1, 2, 4, 16, 64, 1024])
    data[at:at] = data[at : at + size] * random.choice([1, 2, 50])
    return bytes(data)


def _splice(random: Random, data: bytearray, others: Sequence[bytes]) -> bytes:
    """The middle of another file."""
    other = random.choice(others)
    start, at = random.randrange(len(other)), _place(random, data)
    piece = other[start : start + random.choice([4, 40, 400, 4000])]
    data[at : at + len(piece)] = piece
    return bytes(data)


def _noise(random: Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    at, size = _place(random, data), random.choice([2, 16, 300])
    data[at : at + size] = random.randbytes(size)
    return bytes(data)


WAYS: tuple[Damage, ...] = (_flip, _number, _text, _cut, _drop, _repeat, _splice, _noise)


def damaged(random: Random, source: bytes, others: Sequence[bytes]) -> bytes:
    """The file with one to four damages; half of the PNGs get right checksums again, to come further."""
    data = source
    for _count in range(random.choice([1, 1, 1, 2, 3, 4])):
        data = random.choice(WAYS)(random, bytearray(data), others)
    if source.startswith(b"\x89PNG") and random.random() < 0.5:
        data = _with_sums(data)
    return data


def _place(random: Random, data: bytearray) -> int:
    """A place in the file, every second time in its head."""
    end = len(data) if random.random() < 0.5 else min(HEAD, len(data))
    return random.randrange(max(1, end))


def _with_sums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums, as far as it has chunks."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        length = int.from_bytes(out[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(out)
