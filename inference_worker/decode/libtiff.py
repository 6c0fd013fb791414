"""What libtiff complains of: heard instead of printed.

Pillow decodes compressed TIFFs with its copy of libtiff. That writes its complaints to the standard error of
the process, in words that nobody can assign to a file, and for fax codes goes on and hands out a picture with
lines missing. Pillow does not pass them on, so the handler is set in the library itself, and only while a
picture is decoded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import _imaging

_SETTER = "TIFFSetErrorHandler"
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


@contextmanager
def heard() -> Iterator[list[str]]:
    """While this lasts libtiff prints nothing; the list has the name of each part of it that met damage.

    It stays empty, and libtiff prints, where Pillow was built with a libtiff that cannot be reached.
    """
    damage: list[str] = []

    def hear(part: bytes | None, _format: bytes, _values: int | None) -> None:
        damage.append((part or b"").decode("ascii", "replace"))

    handler = _Handler(hear)  # the name keeps it alive: libtiff does not
    before = _set(ctypes.cast(handler, ctypes.c_void_p).value)
    try:
        yield damage
    finally:
        _set(before)


def _set(handler: int | None) -> int | None:
    """Set the handler of errors; returns the one before."""
    try:
        # The name is looked for in the extension and in what it is linked with, and nowhere else.
        setter = getattr(ctypes.CDLL(_imaging.__file__), _SETTER)
    except (AttributeError, OSError):
        return None
    setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    before: int | None = setter(handler)
    return before
