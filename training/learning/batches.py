"""Batches for training: balanced, augmented, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from inference_worker.preprocess import as_batch
from training.datasets.record import Record
from training.datasets.squares import Squares
from training.learning.augment import Augmentation, collimate, draw, grid_target, relight, warp

Batch = tuple[NDArray[np.float32], dict[str, NDArray[Any]]]
#: The part target of a picture that has none; the loss leaves it out.
NO_PART = -1
#: The map target of an abnormal picture without a box: nobody said where, and the loss leaves it out.
NO_MAP = -1.0


class Batches(keras.utils.PyDataset):
    """``(pictures, {part, logit, map})`` with a fixed share of abnormal pictures in every batch.

    ``part`` is ``int (N,)`` (``NO_PART`` where unknown), ``logit`` the label 0 or 1, ``map`` the
    target of the evidence map, ``(N, cells, cells)``, ``NO_MAP`` where unknown. One epoch
    passes once over as many pictures as there are; normal and abnormal ones are drawn from
    their own shuffled decks. With a share of 0 all come from one deck.
    """

    def __init__(
        self,
        records: Sequence[Record],
        squares: Squares,
        body_parts: Sequence[str],
        *,
        batch: int,
        cells: int,
        abnormal_share: float,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        super().__init__()
        self.squares, self.augmentation = squares, augmentation
        self.batch, self.cells, self.seed, self.epoch = batch, cells, seed, 0
        self.size = squares.pixels.shape[1]
        self.body_part = np.array(
            [body_parts.index(r.body_part) if r.body_part else NO_PART for r in records], np.int32
        )
        self.label = np.array([r.abnormal for r in records], np.float32)
        self.abnormal = max(1, round(batch * abnormal_share)) if abnormal_share else None
        self.order = self._order()

    def __len__(self) -> int:
        return len(self.label) // self.batch

    def __getitem__(self, index: int) -> Batch:
        rows = self.order[index]
        generator = np.random.default_rng((self.seed, self.epoch, index))
        pixels = np.empty((len(rows), self.size, self.size), np.uint8)
        maps = np.empty((len(rows), self.cells, self.cells), np.float32)
        for slot, row in enumerate(rows):
            matrix = draw(self.augmentation, self.size, generator)
            boxes = self.squares.boxes[row]
            square = collimate(self.squares.pixels[row], boxes, self.augmentation, generator)
            square = warp(square, matrix)
            pixels[slot] = relight(square, self.augmentation, generator)
            unknown = not boxes and self.label[row] == 1
            maps[slot] = NO_MAP if unknown else grid_target(boxes, matrix, self.size, self.cells)
        return as_batch(pixels), {"part": self.body_part[rows], "logit": self.label[rows], "map": maps}

    def on_epoch_end(self) -> None:
        self.skip_to(self.epoch + 1)

    def skip_to(self, epoch: int) -> None:
        """Go to the batches of ``epoch`` (from 0), as a resumed run must."""
        self.epoch = epoch
        self.order = self._order()

    def _order(self) -> NDArray[np.intp]:
        generator = np.random.default_rng((self.seed, self.epoch))
        if self.abnormal is None:
            return _deal(np.arange(len(self.label)), self.batch * len(self), generator).reshape(
                len(self), self.batch
            )
        decks = [np.flatnonzero(self.label == 1), np.flatnonzero(self.label == 0)]
        counts = [self.abnormal, self.batch - self.abnormal]
        columns = [
            _deal(deck, count * len(self), generator).reshape(len(self), count)
            for deck, count in zip(decks, counts, strict=True)
        ]
        return np.concatenate(columns, axis=1)


def _deal(deck: NDArray[np.intp], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """``count`` cards: whole shuffled decks one after the other, so that all appear equally often."""
    rounds = -(-count // len(deck))
    return np.concatenate([generator.permutation(deck) for _ in range(rounds)])[:count]
