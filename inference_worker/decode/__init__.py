"""Decodes a file's bytes to a `Radiograph`, or refuses them with one sentence.

The bytes decide the format (`inference_worker.sniff`). Limits are checked on headers before a pixel is
allocated. Nothing is lenient: a picture that ends early is refused, not completed with grey.
"""

from __future__ import annotations

import stat
import warnings
from pathlib import Path
from time import perf_counter

from inference_worker.decode.dicom import decode_dicom
from inference_worker.decode.jpeg import decode as decode_jpeg
from inference_worker.decode.limits import Limits
from inference_worker.decode.png import decode as decode_png
from inference_worker.decode.tiff import decode as decode_tiff
from inference_worker.sniff import HEAD_BYTES, describe, is_encrypted, sniff
from inference_worker.types import Decoded, Radiograph, UnreadableError

_DECODERS = {"png": decode_png, "jpeg": decode_jpeg, "tiff": decode_tiff, "dicom": decode_dicom}


def decode(data: bytes, limits: Limits | None = None) -> Radiograph:
    """Decode a whole file's bytes (PNG, JPEG, TIFF or DICOM), within ``limits`` or the default ones.

    Raises `UnreadableError` with one of the kinds ``empty``, ``too_large``, ``too_many_pixels``,
    ``not_a_picture``, ``encrypted``, ``truncated``, ``corrupt``, ``unsupported_encoding``,
    ``multi_frame``, ``not_a_projection``, ``no_pixels``.
    """
    limits = limits or Limits()
    limits.check_bytes(len(data))
    head = data[:HEAD_BYTES]
    name = sniff(head)
    if name is None:
        if is_encrypted(head):
            raise UnreadableError("encrypted", "The file is encrypted; send the picture without encryption.")
        raise UnreadableError(
            "not_a_picture",
            f"The file is {describe(head)}, not a radiograph; send a PNG, JPEG, TIFF or DICOM file.",
        )
    # Decoders warn of oddities that do not change the picture; what does becomes an exception.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _DECODERS[name](data, limits)


class DecodeHere:
    """The `Decoder` of this process: for files that one trusts, and for notebooks."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits
        self._data = b""

    def begin(self, data: bytes) -> None:
        """Keep the bytes until ``result``."""
        self._data = data

    def result(self) -> Decoded:
        """Decode them. Raises as `decode` does."""
        clock = perf_counter()
        radiograph = decode(self._data, self._limits)
        return Decoded(radiograph, (perf_counter() - clock) * 1000)

    def give_up(self) -> None:
        """Drop the bytes."""
        self._data = b""


def load_file(path: Path, limits: Limits | None = None) -> bytes:
    """Load a file's bytes after checking its size.

    Raises `UnreadableError` (``cannot_open``, ``empty``, ``too_large``).
    """
    limits = limits or Limits()
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableError(
                "cannot_open", "The folder holds no picture or DICOM file that may be opened; name another."
            )
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("cannot_open", "This is no ordinary file; name a picture or a folder.")
        limits.check_bytes(status.st_size)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableError("cannot_open", "There is no such file; check the path.") from error
    except PermissionError as error:
        raise UnreadableError("cannot_open", "The file may not be opened; check its permissions.") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise UnreadableError("cannot_open", "The file cannot be read from its disk; copy it.") from error
