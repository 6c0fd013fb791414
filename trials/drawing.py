"""Pictures by number, all different: JPEGs like small radiographs, and some that no decoder takes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def drawn(number: int) -> bytes:
    """A JPEG of its own for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (24, 20), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((400, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


def damaged(number: int) -> bytes:
    """A JPEG whose headers and end are whole, and whose pixels are not."""
    content = drawn(number)
    middle = len(content) // 2
    return content[:middle] + content[-2:]
