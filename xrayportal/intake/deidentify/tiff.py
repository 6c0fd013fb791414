"""TIFF 6.0: writes the first picture anew with its pixel data and the tags that it takes to show it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from django.utils.translation import gettext as _

from inference_worker import bigtiff
from inference_worker.tiff_layout import BLACK_IS_ZERO, RAW, UNSIGNED, Layout
from inference_worker.types import UnreadableError
from xrayportal.intake.rejection import RejectedError, check_dimensions, corrupt, general, truncated

_WIDTH, _HEIGHT, _COMPRESSION, _SUBFILE = 256, 257, 259, 254
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _PREDICTOR, _FORMAT = 258, 262, 277, 284, 317, 339
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 273, 279, 324, 325
_OLD_JPEG = 6
#: Tags that it takes to decode and show the pixels. Descriptions, names, dates, EXIF, XMP, IPTC, GPS, private
#: tags and sub-pictures are left out.
_KEPT = frozenset(
    {
        *(256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 292, 293),
        *(296, 317, 318, 319, 320, 322, 323, 324, 325, 338, 339, 340, 341, 347, 529, 530, 531, 532),
    }
)
#: Bytes of one value, by field type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SHORT, _LONG = 3, 4
# An honest TIFF has some dozen tags and one strip a line at most; directories that lie over each other
# would cost hours.
_MOST_TAGS = 1000
_MOST_DIRECTORIES = 32
_MOST_PIECES = 300_000


@dataclass(frozen=True)
class Field:
    """One entry of a directory: type, number of values and their bytes as stored."""

    kind: int
    count: int
    raw: bytes

    def numbers(self, order: str) -> tuple[int, ...]:
        """The values of a SHORT or LONG field."""
        if self.kind not in (_SHORT, _LONG):
            raise corrupt()
        return struct.unpack(f"{order}{self.count}{'H' if self.kind == _SHORT else 'I'}", self.raw)


def strip(data: bytes) -> bytes:
    """Return the same picture without metadata; the (perhaps compressed) pixel data are copied byte for byte.

    A BigTIFF becomes an ordinary one. Raises ``RejectedError`` for several pictures in one file, a truncated
    or damaged file, or one with too many pixels.
    """
    try:
        data = bigtiff.classic(data)
    except UnreadableError as error:
        raise (truncated() if error.kind == "truncated" else corrupt()) from error
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        raise truncated()
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    fields, following = _directory(data, order, start)
    _refuse_more_pictures(data, order, following)
    if _WIDTH not in fields or _HEIGHT not in fields:
        raise corrupt()
    check_dimensions(_number(fields[_WIDTH], order), _number(fields[_HEIGHT], order))
    if _COMPRESSION in fields and _number(fields[_COMPRESSION], order) == _OLD_JPEG:
        raise RejectedError(
            "unsupported-encoding", _("it uses a withdrawn kind of compression"), _("Save it as PNG.")
        )
    if not _layout(fields, order).is_decoded:
        raise RejectedError(
            "unsupported-encoding",
            _("its samples are of a rare kind that cannot be decoded here"),
            _("Save it as an ordinary TIFF."),
        )
    offsets, sizes = (_TILES, _TILE_SIZES) if _TILES in fields else (_STRIPS, _STRIP_SIZES)
    if offsets not in fields or sizes not in fields:
        raise corrupt()
    if max(fields[offsets].count, fields[sizes].count) > _MOST_PIECES:
        raise corrupt()
    pieces = _pieces(data, fields[offsets].numbers(order), fields[sizes].numbers(order))
    unused = {_STRIPS, _STRIP_SIZES} if offsets == _TILES else {_TILES, _TILE_SIZES}
    kept = {tag: field for tag, field in fields.items() if tag in _KEPT - unused}
    return _written(data[:2], order, kept, offsets, pieces)


def _layout(fields: dict[int, Field], order: str) -> Layout:
    """How the samples lie, with the standard's values where the file states none."""

    def stated(tag: int, default: int) -> int:
        numbers = fields[tag].numbers(order) if tag in fields else (default,)
        if len(set(numbers)) != 1:
            raise corrupt()
        return numbers[0]

    samples = stated(_SAMPLES, 1)
    return Layout(
        width=stated(_WIDTH, 0),
        height=stated(_HEIGHT, 0),
        bits=stated(_BITS, 1),
        samples=samples,
        format=stated(_FORMAT, UNSIGNED),
        photometric=stated(_PHOTOMETRIC, BLACK_IS_ZERO),
        compression=stated(_COMPRESSION, RAW),
        predictor=stated(_PREDICTOR, 1),
        is_planar=stated(_PLANAR, 1) == 2 and samples > 1,
    )


def _directory(data: bytes, order: str, start: int) -> tuple[dict[int, Field], int]:
    """Parse the directory at ``start``: its fields, and the offset of the next one (0: there is none)."""
    if start + 2 > len(data):
        raise truncated()
    number = struct.unpack_from(f"{order}H", data, start)[0]
    end = start + 2 + 12 * number
    if end + 4 > len(data):
        raise truncated()
    if number > _MOST_TAGS:
        raise corrupt()
    fields, left = {}, len(data)
    for at in range(start + 2, end, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
        size = _SIZES.get(kind, 0) * count
        where = at + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, at + 8)[0]
        if kind in _SIZES and tag in _KEPT | {_SUBFILE}:
            if where + size > len(data):
                raise truncated()
            left -= size
            if left < 0:  # values that overlap would make a large file out of a small one
                raise corrupt()
            fields[tag] = Field(kind, count, data[where : where + size])
    return fields, struct.unpack_from(f"{order}I", data, end)[0]


def _refuse_more_pictures(data: bytes, order: str, following: int) -> None:
    """Refuse further directories unless they hold smaller versions of the picture, which are left out."""
    seen: set[int] = set()
    while following:
        if following in seen or len(seen) >= _MOST_DIRECTORIES:
            raise corrupt()
        seen.add(following)
        fields, after = _directory(data, order, following)
        is_reduced = _SUBFILE in fields and _number(fields[_SUBFILE], order) & 1
        if not is_reduced:
            raise general("multi-frame")
        following = after


def _pieces(data: bytes, offsets: tuple[int, ...], sizes: tuple[int, ...]) -> list[bytes]:
    if len(offsets) != len(sizes) or not offsets:
        raise corrupt()
    if any(start + size > len(data) for start, size in zip(offsets, sizes, strict=True)):
        raise truncated()
    if sum(sizes) > len(data):  # pieces that overlap would make a large file out of a small one
        raise corrupt()
    return [data[start : start + size] for start, size in zip(offsets, sizes, strict=True)]


def _written(mark: bytes, order: str, fields: dict[int, Field], offsets: int, pieces: list[bytes]) -> bytes:
    body, at, starts = [], 8, []
    for piece in pieces:
        starts.append(at)
        padded = piece + b"\x00" * (len(piece) % 2)
        body.append(padded)
        at += len(padded)
    fields[offsets] = Field(_LONG, len(starts), struct.pack(f"{order}{len(starts)}I", *starts))
    entries = []
    for tag, field in sorted(fields.items()):
        value = field.raw.ljust(4, b"\x00")
        if len(field.raw) > 4:
            value = struct.pack(f"{order}I", at)
            padded = field.raw + b"\x00" * (len(field.raw) % 2)
            body.append(padded)
            at += len(padded)
        entries.append(struct.pack(f"{order}HHI", tag, field.kind, field.count) + value)
    header = mark + struct.pack(f"{order}HI", 42, at)
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + b"\x00" * 4
    return b"".join([header, *body, directory])


def _number(field: Field, order: str) -> int:
    numbers = field.numbers(order)
    if not numbers:
        raise corrupt()
    return numbers[0]
