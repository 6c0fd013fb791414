"""Batches for training: balanced, augmented, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from inference_worker.preprocess import as_batch
from training.datasets.record import Record
from training.datasets.squares import Squares
from training.learning import augment
from training.learning.augment import Augmentation
from training.learning.cutmix import Sample, cutmix
from training.learning.teacher import Teacher

Batch = tuple[NDArray[np.float32], dict[str, NDArray[Any]]]
#: In ``Batches.part``: the part is unknown.
NO_BODY_PART = -1


class Batches(keras.utils.PyDataset):
    """``(pictures, {part, logit, map})`` with a fixed share of abnormal pictures in every batch.

    ``part`` is ``(N, P)``, rows that sum to 1, or are 0 where the part is unknown; ``logit`` ``(N,)`` the
    label 0 to 1; ``map`` ``(N, cells, cells, 2)`` the target of the evidence map and its weight: 1, up to
    ``map_positive`` in a box, and 0 where an abnormal picture has no box, since nobody knows where to look.
    One epoch has ``steps`` batches, or passes once over as many pictures as there are; normal and abnormal
    ones are drawn from their own shuffled decks. With a share of 0 all come from one deck. With a
    ``teacher`` (answers in the order of ``records``) its opinion takes ``teacher_share`` of the targets of
    ``logit`` and ``map``.
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
        map_positive: float = 1.0,
        steps: int = 0,
        teacher: Teacher | None = None,
        teacher_share: float = 0.5,
    ) -> None:
        super().__init__()
        self.squares, self.augmentation = squares, augmentation
        self.batch, self.cells, self.seed, self.epoch = batch, cells, seed, 0
        self.map_positive, self.steps, self.body_parts = map_positive, steps, len(body_parts)
        self.size = squares.pixels.shape[1]
        self.body_part = np.array(
            [body_parts.index(r.body_part) if r.body_part else NO_BODY_PART for r in records], np.int32
        )
        self.label = np.array([r.abnormal for r in records], np.float32)
        self.abnormal = max(1, round(batch * abnormal_share)) if abnormal_share else None
        self.teacher_share = teacher_share if teacher else 0.0
        self.opinion = teacher.probability if teacher else self.label
        self.maps = [_fitted(map_, cells) for map_ in teacher.maps] if teacher else None
        self.order = self._order()

    def __len__(self) -> int:
        return self.steps or len(self.label) // self.batch

    def __getitem__(self, index: int) -> Batch:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        samples = [self._sample(int(row), generator) for row in self.order[index]]
        if self.augmentation.cutmix:
            samples = cutmix(samples, self.augmentation.cutmix, generator)
        weights = [
            np.full_like(sample.evidence, sample.located) * (1 + (self.map_positive - 1) * sample.evidence)
            for sample in samples
        ]
        targets = np.stack([np.stack([sample.target for sample in samples]), np.stack(weights)], axis=-1)
        return as_batch(np.stack([sample.pixels for sample in samples])), {
            "part": np.stack([sample.body_part for sample in samples]),
            "logit": np.array([sample.verdict for sample in samples], np.float32),
            "map": targets,
        }

    def on_epoch_end(self) -> None:
        self.skip_to(self.epoch + 1)

    def skip_to(self, epoch: int) -> None:
        """Go to the batches of ``epoch`` (from 0), as a resumed run must."""
        self.epoch = epoch
        self.order = self._order()

    def _sample(self, row: int, generator: np.random.Generator) -> Sample:
        """Picture ``row``, augmented anew."""
        boxes, label = self.squares.boxes[row], float(self.label[row])
        matrix = augment.draw(self.augmentation, self.size, generator)
        square = augment.collimate(self.squares.pixels[row], boxes, self.augmentation, generator)
        square = augment.relight(augment.warp(square, matrix), self.augmentation, generator)
        corners = augment.moved_corners(boxes, matrix)
        square = augment.degrade(square, self.augmentation, generator)
        square = augment.erase(square, corners, self.augmentation, generator)
        body_part = np.zeros(self.body_parts, np.float32)
        if self.body_part[row] != NO_BODY_PART:
            body_part[self.body_part[row]] = 1
        evidence = augment.grid_target(corners, self.size, self.cells)
        target, share = evidence, np.float32(self.teacher_share)
        if self.maps is not None:
            opinion = augment.warp_map(self.maps[row], matrix, self.size)
            target = (1 - share) * evidence + share * opinion
        return Sample(
            pixels=square,
            boxes=tuple(corners),
            body_part=body_part,
            label=label,
            verdict=(1 - self.teacher_share) * label + self.teacher_share * float(self.opinion[row]),
            evidence=evidence,
            target=target,
            located=bool(boxes) or not label,
        )

    def _order(self) -> NDArray[np.intp]:
        generator = np.random.default_rng((self.seed, self.epoch))
        if self.abnormal is None:
            return deal(np.arange(len(self.label)), self.batch * len(self), generator).reshape(
                len(self), self.batch
            )
        decks = [np.flatnonzero(self.label == 1), np.flatnonzero(self.label == 0)]
        counts = [self.abnormal, self.batch - self.abnormal]
        columns = [
            deal(deck, count * len(self), generator).reshape(len(self), count)
            for deck, count in zip(decks, counts, strict=True)
        ]
        return np.concatenate(columns, axis=1)


def _fitted(map_: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """A teacher's map on the grid of the network that learns."""
    if map_.shape == (cells, cells):
        return map_
    return np.asarray(cv2.resize(map_, (cells, cells), interpolation=cv2.INTER_LINEAR), np.float32)


def deal(deck: NDArray[np.intp], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """``count`` cards: whole shuffled decks one after the other, so that all appear equally often."""
    rounds = -(-count // len(deck))
    return np.concatenate([generator.permutation(deck) for _ in range(rounds)])[:count]
