"""Ordinary radiographs to measure with: real ones where the data set is there, else drawn ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 512


def ordinary(count: int) -> tuple[list[bytes], str]:
    """``count`` JPEGs of at most `LONGEST` pixels a side, and the name of their source."""
    folder = Path(os.environ.get("XRAY_SHARED", ROOT.parent / "shared")) / "data" / "fracatlas" / "images"
    if folder.is_dir():
        files: list[bytes] = []
        for path in sorted(folder.glob("*.jpg"))[::7]:
            data = path.read_bytes()
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
            if pixels is not None and max(pixels.shape) <= LONGEST:
                files.append(data)
            if len(files) == count:
                return files, "FracAtlas"
    rng = np.random.default_rng(0)
    return [_drawn(rng) for _ in range(count)], "drawn"


def varied() -> Callable[[int], bytes]:
    """A JPEG of about 40 kB, another one for each number (comments would be removed when it is stored).

    The number goes into the quantisation of the finest details, which changes what the picture decodes to.
    """
    base = min(ordinary(20)[0], key=lambda data: abs(len(data) - 40_000))
    finest = base.index(b"\xff\xdb") + 5 + 56

    def picture(number: int) -> bytes:
        changed = bytearray(base)
        changed[finest : finest + 8] = bytes(1 + byte % 255 for byte in number.to_bytes(8, "big"))
        return bytes(changed)

    return picture


def _drawn(rng: np.random.Generator) -> bytes:
    """Draw soft tissue, two bones and noise, which cost a JPEG coder and decoder as much as a radiograph."""
    canvas = np.zeros((454, 373), np.float32)
    for centre, half, level in ((186, 90, 90.0), (160, 22, 90.0), (215, 16, 70.0)):
        middle = centre + rng.normal(0, 10)
        canvas[:, max(0, int(middle - half)) : int(middle + half)] += level
    soft = cv2.GaussianBlur(canvas, (0, 0), 4) + rng.normal(0, 4, canvas.shape)
    written, data = cv2.imencode(".jpg", np.clip(soft, 0, 255).astype(np.uint8))
    assert written
    return bytes(data)
