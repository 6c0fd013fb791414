"""Small pictures whose tags name a person, and what of them is left."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

#: What nothing may keep.
NAME = "Mustermann"


def ramp(mode: str = "L", size: tuple[int, int] = (40, 30)) -> Image.Image:
    values = np.add.outer(np.arange(size[1]) * 5, np.arange(size[0]) * 2) % 256
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def pixels(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(BytesIO(content)) as picture:
        return np.asarray(picture)


def turned(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = f"Hand of {NAME}"
    block[0x8769] = {0x9003: "1964:08:12 10:00:00", 0xA430: NAME}
    return block


def orientation_of(content: bytes) -> int:
    with Image.open(BytesIO(content)) as picture:
        return int(picture.getexif().get(0x0112, 1))
