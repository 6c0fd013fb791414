"""Checks the header of the compressed frame inside a DICOM file before a decoder trusts it.

For the intake, which refuses by it, and the decoder. Imports no decoder.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

from inference_worker import jpeg_header
from inference_worker.dicom_attributes import DECODERS, GDCM
from inference_worker.types import UnreadableError

_JPEG_2000 = b"\xff\x4f\xff\x51"
_JPEG_2000_DATA = b"\xff\x93"  # SOD
JPEG = b"\xff\xd8"
_END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_MOST_COMPONENTS = 4
#: The decoder keeps a record of each tile, precinct and code block. Usual ones have 4,096 pixels or more;
#: only in small pictures are they smaller.
_LEAST_PIXELS_PER_PART, _PARTS_OF_ANY = 64, 10_000
_COD, _COC = 0xFF52, 0xFF53
_JPEG_LOSSLESS = 3
#: Bits of a sample that JPEG and JPEG-LS allow.
_LEAST_PRECISION, _MOST_PRECISION = 2, 16
_JPEG_LS = 7
_JPEG_SYNTAXES = frozenset(DECODERS) - {*JPEG2000TransferSyntaxes, RLELossless}


def check(frame: bytes, syntax: UID, width: int, height: int) -> None:
    """Refuse a frame that is not ``width`` by ``height`` pixels, is cut short or of another kind than stated.

    A decoder allocates the size in the frame's header, not the one in the DICOM header. Raises
    `UnreadableError` (``truncated``, ``corrupt``, ``unsupported_encoding``: 12-bit lossy JPEG). RLE has no
    header of this kind and its decoder knows the size, see `check_runs`.
    """
    if not frame:
        raise _truncated()
    if syntax == RLELossless:
        return
    start = frame.find(_JPEG_2000, 0, 256)
    if syntax not in _JPEG_SYNTAXES and start >= 0:
        _check_size(_jpeg_2000_size(frame[start:]), width, height)
        _check_parts(frame[start:], width, height)
        _check_end(frame, frame.find(_JPEG_2000_DATA, start))
    elif syntax not in JPEG2000TransferSyntaxes and frame.startswith(JPEG):
        _check_jpeg(frame, syntax, width, height)
    elif syntax in _JPEG_SYNTAXES or syntax in JPEG2000TransferSyntaxes:
        raise _of_another_kind()


def is_lossy_jpeg(frame: bytes) -> bool:
    """Whether a frame that `check` let pass is lossy JPEG."""
    return frame.startswith(JPEG) and jpeg_header.frame_header(frame).process in jpeg_header.HUFFMAN


def _check_jpeg(frame: bytes, syntax: UID, width: int, height: int) -> None:
    header = jpeg_header.frame_header(frame)
    jpeg_header.check_scans(frame)
    _check_size((header.width, header.height), width, height)
    if not _LEAST_PRECISION <= header.precision <= _MOST_PRECISION:  # its decoder would end the process
        raise UnreadableError(
            "corrupt",
            f"The picture inside the DICOM file claims samples of {header.precision} bits; "
            "send it again from its source.",
        )
    is_ls = header.process == _JPEG_LS
    if is_ls != (syntax in JPEGLSTransferSyntaxes):
        raise _of_another_kind()
    if header.process == _JPEG_LOSSLESS and DECODERS.get(syntax) != GDCM:
        raise _of_another_kind()
    if not is_ls and header.process != _JPEG_LOSSLESS and header.precision != 8:
        raise UnreadableError(
            "unsupported_encoding",
            f"The DICOM file holds {header.precision}-bit lossy JPEG (JPEG Extended), which cannot be "
            "decoded here; export it uncompressed or as JPEG 2000.",
        )
    _check_end(frame, jpeg_header.scan_start(frame))


def _of_another_kind() -> UnreadableError:
    return UnreadableError(
        "corrupt",
        "The DICOM header and the compressed picture inside disagree on its encoding; export the file again.",
    )


def _jpeg_2000_size(stream: bytes) -> tuple[int, int]:
    """Width and height from the SIZ segment (ITU-T T.800, A.5.1), its components counted."""
    if len(stream) < 42:
        raise _truncated()
    # The decoder allocates the whole picture for each; the format allows 16,384.
    if int.from_bytes(stream[40:42], "big") > _MOST_COMPONENTS:
        raise UnreadableError(
            "corrupt",
            "The picture inside the DICOM file has far too many channels; export it again.",
        )
    right, bottom, left, top = (int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20))
    return right - left, bottom - top


def _check_parts(stream: bytes, width: int, height: int) -> None:
    """Refuse a picture cut into so many tiles, precincts or code blocks that their records fill the memory.

    Main header of ITU-T T.800: SIZ (A.5.1), COD (A.6.1) and COC (A.6.2).
    """
    tile_width, tile_height = (int.from_bytes(stream[at : at + 4], "big") for at in (24, 28))
    components = int.from_bytes(stream[40:42], "big")
    if not tile_width or not tile_height:
        raise _cut_up()
    tiles = -(-width // tile_width) * -(-height // tile_height)
    tile = min(width, tile_width), min(height, tile_height)
    parts = tiles
    for marker, body in _main_header(stream):
        if marker == _COD and len(body) >= 10:
            parts = max(parts, tiles * components * _parts(*tile, body[5:], is_cut=bool(body[0] & 1)))
        elif marker == _COC and len(body) >= 7:
            parts = max(parts, tiles * components * _parts(*tile, body[2:], is_cut=bool(body[1] & 1)))
    if parts > _PARTS_OF_ANY + width * height * components // _LEAST_PIXELS_PER_PART:
        raise _cut_up()


def _main_header(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment before the first tile."""
    at = 2
    while at + 4 <= len(stream):
        marker, length = (int.from_bytes(stream[at + place : at + place + 2], "big") for place in (0, 2))
        if marker in (0xFF90, 0xFF93) or marker < 0xFF00 or length < 2:  # SOT, SOD, or no marker
            return
        yield marker, stream[at + 4 : at + 2 + length]
        at += 2 + length


def _parts(width: int, height: int, style: bytes, *, is_cut: bool) -> int:
    """Precincts and code blocks of one component of one tile, by the parameters of its coding style.

    ``style``: decomposition levels, exponents of the code block less two, two bytes, exponents of precincts.
    """
    levels, block = style[0], (style[1] & 0x0F) + 2 + (style[2] & 0x0F) + 2
    if levels > 32 or (is_cut and len(style) < 6 + levels):
        raise _cut_up()
    parts = 0
    for resolution in range(levels + 1):
        across, down = (-(-side >> (levels - resolution)) for side in (width, height))
        sizes = style[5 + resolution] if is_cut else 0xFF
        wide, tall = 1 << (sizes & 0x0F), 1 << (sizes >> 4)
        precincts = -(-across // wide) * -(-down // tall)
        parts += precincts + max(precincts, across * down >> block)
    return parts


def _cut_up() -> UnreadableError:
    return UnreadableError(
        "corrupt",
        "The picture inside the DICOM file is cut into far too many pieces; export it again.",
    )


def check_runs(frame: bytes, bytes_of_pixels: int) -> None:
    """Refuse RLE (PS3.5, annex G) that is too short for its picture: two bytes give 128 at most.

    Raises `UnreadableError` (``truncated``).
    """
    if len(frame) < 64 or (len(frame) - 64) * 64 < bytes_of_pixels:
        raise _truncated()


def _check_size(size: tuple[int, int], width: int, height: int) -> None:
    if size != (width, height):
        raise UnreadableError(
            "corrupt",
            "The DICOM header and the compressed picture inside disagree on its size; export the file again.",
        )


def _check_end(frame: bytes, pixels: int) -> None:
    """Refuse a frame without an end marker after the start of its pixels, at ``pixels``.

    Coded pixels cannot hold the marker's bytes, but headers can. What follows it is padding: zeros, a space,
    or whatever was in the writer's memory.
    """
    if pixels < 0 or frame.rfind(_END) < pixels:
        raise _truncated()


def _truncated() -> UnreadableError:
    return UnreadableError(
        "truncated", "The picture inside the DICOM file ends too early; send the file again from its source."
    )
