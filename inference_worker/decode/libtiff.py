"""Captures what libtiff reports of damage, instead of letting it print.

Pillow decodes compressed TIFFs with its copy of libtiff. libtiff writes its messages to the standard error of
the process, without the file's name, and for fax codes it goes on and returns a picture with lines missing.
Pillow does not pass the messages on, so this module sets libtiff's own handler while a picture is decoded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import _imaging

_SETTER = "TIFFSetErrorHandler"
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


@contextmanager
def capture_warnings() -> Iterator[list[str]]:
    """Collect, inside the ``with`` block, the name of each part of libtiff that reports damage.

    The list stays empty, and libtiff prints, where Pillow was built with a libtiff that cannot be reached.
    """
    damage: list[str] = []

    def note(part: bytes | None, _format: bytes, _values: int | None) -> None:
        damage.append((part or b"").decode("ascii", "replace"))

    handler = _Handler(note)  # the name keeps it alive: libtiff does not
    before = _set(ctypes.cast(handler, ctypes.c_void_p).value)
    try:
        yield damage
    finally:
        _set(before)


def _set(handler: int | None) -> int | None:
    """Set libtiff's error handler, as an address; return the one before, None where that is impossible."""
    try:
        # The name is looked for in the extension and in what it is linked with, and nowhere else.
        setter = getattr(ctypes.CDLL(_imaging.__file__), _SETTER)
    except (AttributeError, OSError):
        return None
    setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    before: int | None = setter(handler)
    return before
