"""Pictures as the network sees them, prepared once and kept in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from inference_worker.preprocess import letterbox
from training.datasets import Box, DatasetError, Record


@dataclass(frozen=True, slots=True)
class Squares:
    """``pixels`` ``uint8 (N, size, size)``, and the records' boxes in those pixels."""

    pixels: NDArray[np.uint8]
    boxes: tuple[tuple[Box, ...], ...]

    def __len__(self) -> int:
        return len(self.pixels)


def read_grey(path: Path) -> NDArray[np.uint8]:
    """The picture as displayed, ``uint8 (H, W)``. Raises ``DatasetError`` if it cannot be read."""
    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("L"), np.uint8)
    except (OSError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path.name} cannot be read: {error}.") from error


def sized(record: Record) -> Record:
    """``record`` with the size of its picture as displayed, read from the file if it does not say."""
    if record.width and record.height:
        return record
    height, width = read_grey(record.path).shape
    return replace(record, width=width, height=height)


def load(records: Sequence[Record], size: int, cache: Path) -> Squares:
    """Squares of ``records``, from ``cache`` if it holds exactly these files at this size."""
    key = _key(records, size)
    store = cache / f"squares-{size}-{key[:16]}.npz"
    if store.is_file():
        with np.load(store) as arrays:
            pixels, scale = arrays["pixels"], arrays["scale"]
    else:
        pixels = np.zeros((len(records), size, size), np.uint8)
        scale = np.zeros((len(records), 3), np.float64)
        for row, record in enumerate(records):
            pixels[row], geometry = letterbox(read_grey(record.path), size)
            scale[row] = geometry.inner_width / geometry.width, geometry.left, geometry.top
        cache.mkdir(parents=True, exist_ok=True)
        partial = store.with_suffix(".part.npz")
        np.savez(partial, pixels=pixels, scale=scale)
        partial.replace(store)
    return Squares(pixels, tuple(_placed(r.boxes, *scale[i]) for i, r in enumerate(records)))


def _placed(boxes: Iterable[Box], scale: float, left: float, top: float) -> tuple[Box, ...]:
    return tuple(
        (
            float(xmin * scale + left),
            float(ymin * scale + top),
            float(xmax * scale + left),
            float(ymax * scale + top),
        )
        for xmin, ymin, xmax, ymax in boxes
    )


def _key(records: Sequence[Record], size: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    for record in records:
        stat = record.path.stat()
        digest.update(f"{record.path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
