"""Pictures as the network sees them, prepared once and kept in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_worker.decode import decode, read_file
from inference_worker.preprocess import letterbox
from inference_worker.types import UnreadableError
from training.datasets.progress import with_progress
from training.datasets.record import Box, DatasetError, Record


@dataclass(frozen=True, slots=True)
class Squares:
    """``pixels`` ``uint8 (N, size, size)``, and the records' boxes in those pixels."""

    pixels: NDArray[np.uint8]
    boxes: tuple[tuple[Box, ...], ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: Sequence[int]) -> Squares:
        """A copy of these pictures alone, in this order."""
        return Squares(self.pixels[list(rows)], tuple(self.boxes[row] for row in rows))


def read_grey(path: Path) -> NDArray[np.uint8]:
    """The picture as displayed, ``uint8 (H, W)``, decoded as the worker decodes it.

    Raises ``DatasetError`` if it cannot be read.
    """
    try:
        return decode(read_file(path)).pixels
    except UnreadableError as error:
        # What follows the semicolon is advice for who sends pictures to a portal.
        raise DatasetError(f"{path} cannot be read: {str(error).partition(';')[0].rstrip('.')}.") from error


def sized(record: Record) -> Record:
    """``record`` with the size of its picture as displayed, read from the file if it does not say."""
    if record.width and record.height:
        return record
    height, width = read_grey(record.path).shape
    return replace(record, width=width, height=height)


def check_readable(records: Sequence[Record], cache: Path) -> None:
    """Decode every picture once, before hours are spent on some of them; ``cache`` remembers success.

    Raises ``DatasetError`` with the number of those that cannot be read, and the first.
    """
    seen = cache / f"readable-{_key(records, 0)[:16]}"
    if seen.is_file():
        return
    for _ in _pictures(records, "reading pictures"):
        pass
    cache.mkdir(parents=True, exist_ok=True)
    seen.touch()


def load(records: Sequence[Record], size: int, cache: Path) -> Squares:
    """Squares of ``records``, from ``cache`` if it holds exactly these files at this size.

    Raises ``DatasetError`` if pictures cannot be read.
    """
    key = _key(records, size)
    store = cache / f"squares-{size}-{key[:16]}.npz"
    if store.is_file():
        with np.load(store) as arrays:
            pixels, scale = arrays["pixels"], arrays["scale"]
    else:
        pixels = np.zeros((len(records), size, size), np.uint8)
        scale = np.zeros((len(records), 3), np.float64)
        for row, picture in enumerate(_pictures(records, "preparing pictures")):
            pixels[row], geometry = letterbox(picture, size)
            scale[row] = geometry.inner_width / geometry.width, geometry.left, geometry.top
        cache.mkdir(parents=True, exist_ok=True)
        partial = store.with_suffix(".part.npz")
        np.savez(partial, pixels=pixels, scale=scale)
        partial.replace(store)
    return Squares(pixels, tuple(_placed(r.boxes, *scale[i]) for i, r in enumerate(records)))


def _pictures(records: Sequence[Record], doing: str) -> Iterator[NDArray[np.uint8]]:
    """Each picture in turn; at the end one error for all that could not be read, which were left out."""
    errors: list[DatasetError] = []
    for record in with_progress(records, len(records), doing):
        try:
            yield read_grey(record.path)
        except DatasetError as error:
            errors.append(error)
    if len(errors) > 1:
        raise DatasetError(f"{len(errors)} pictures cannot be read; the first: {errors[0]}")
    if errors:
        raise errors[0]


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
