"""Checks the header of the compressed frame inside a DICOM file before a decoder trusts it."""

from __future__ import annotations

from inference_worker import jpeg_header
from inference_worker.decode import jpeg
from inference_worker.types import UnreadableError

_JPEG_2000 = b"\xff\x4f\xff\x51"
_JPEG_2000_DATA = b"\xff\x93"  # SOD
_JPEG = b"\xff\xd8"
_END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_MOST_COMPONENTS = 4
_JPEG_LOSSLESS = 3
_JPEG_LS = 7


def check(frame: bytes, width: int, height: int) -> None:
    """Refuse a frame that is not ``width`` by ``height`` pixels, is cut short or holds 12-bit lossy JPEG.

    A decoder allocates the size in the frame's header, not the one in the DICOM header. Raises
    `UnreadableError` (``truncated``, ``corrupt``, ``unsupported_encoding``). RLE has no header of
    this kind and its decoder knows the size.
    """
    start = frame.find(_JPEG_2000, 0, 256)
    if start >= 0:
        _check_size(_jpeg_2000_size(frame[start:]), width, height)
        _check_end(frame, frame.find(_JPEG_2000_DATA, start))
    elif frame.startswith(_JPEG):
        header = jpeg_header.frame_header(frame)
        _check_size((header.width, header.height), width, height)
        if header.process in (_JPEG_LOSSLESS, _JPEG_LS):
            _check_end(frame, jpeg_header.scan_start(frame))
        elif header.precision == 8:
            jpeg.strict(frame, "GRAY" if header.components == 1 else "RGB")
        else:
            raise UnreadableError(
                "unsupported_encoding",
                f"The DICOM file holds {header.precision}-bit lossy JPEG (JPEG Extended), which cannot be "
                "decoded here; export it uncompressed or as JPEG 2000.",
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
