"""Small pictures, all different, that pass the whole pipeline; a mark can be hidden in one."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image


def pictures(count: int, marked: dict[int, bytes]) -> Iterator[io.BytesIO]:
    """``count`` grey TIFFs, not compressed; the bytes of ``marked[n]`` can be found in number n."""
    noise = np.random.default_rng(0)
    for number in range(count):
        pixels = noise.integers(0, 256, (64, 48), np.uint8)
        mark = np.frombuffer(marked.get(number, b""), np.uint8)
        pixels[0, : len(mark)] = mark
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "TIFF")
        file.seek(0)
        yield file
