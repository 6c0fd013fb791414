"""Augmented batches and their targets, drawn on the GPU without ever waiting for it.

The same augmentation as ``training.learning.augment`` and ``training.learning.cutmix``, so a step can be
recorded as a CUDA graph. Two differences: grey levels are not rounded in between, and a flat patch that would
touch a box is left out instead of drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.datasets.record import Record
from training.datasets.squares import Squares
from training.learning.augment import DARK, PATCH, Augmentation
from training.learning.cutmix import WINDOW

#: Boxes are drawn so many times finer than the map's cells; at most so many of a picture.
FINE, MOST_BOXES = 4, 6
#: The share of blurred pictures whose band is bright, and the widths of bands in shares of the side.
BRIGHT, BANDS = 0.75, (0.04, 0.26)


class Batch(NamedTuple):
    """``pictures (N, 1, S, S)``, ``part (N, P)``, ``verdict (N,)``; ``target``, ``weight`` ``(N, h, w)``."""

    pictures: Tensor
    part: Tensor
    verdict: Tensor
    target: Tensor
    weight: Tensor


class Pictures:
    """All pictures on the device, with labels, boxes and a teacher's answers.

    ``probability`` ``(N,)`` and ``maps`` ``(N, h, w)`` are the teacher's.
    """

    def __init__(
        self,
        records: Sequence[Record],
        squares: Squares,
        body_parts: Sequence[str],
        device: torch.device,
        map_positive: float,
    ) -> None:
        self.size = squares.pixels.shape[1]
        self.cells, self.map_positive, self.device = self.size // 16, map_positive, device
        boxes = np.full((len(records), MOST_BOXES, 4), -1e6, np.float32)
        for row, own in enumerate(squares.boxes):
            for number, box in enumerate(own[:MOST_BOXES]):
                boxes[row, number] = box
        has = np.arange(MOST_BOXES)[None] < np.array([len(own) for own in squares.boxes])[:, None]
        part = [[one == record.body_part for one in body_parts] for record in records]
        located = [
            bool(own) or not record.abnormal for own, record in zip(squares.boxes, records, strict=True)
        ]
        self.pixels, self.boxes, self.has = (
            torch.from_numpy(a).to(device) for a in (squares.pixels, boxes, has)
        )
        self.part = torch.tensor(part, dtype=torch.float32, device=device)
        self.label = torch.tensor([float(record.abnormal) for record in records], device=device)
        self.located = torch.tensor(located, device=device)
        self.teach(self.label.cpu().numpy(), np.zeros((len(records), 1, 1), np.float32))

    def teach(self, probability: NDArray[np.floating], maps: NDArray[np.floating]) -> None:
        """Set the teacher's answers; its maps may have any grid over the square."""
        self.probability = torch.as_tensor(probability, dtype=torch.float32).to(self.device)
        grid = torch.as_tensor(maps, dtype=torch.float32)[:, None]
        side = (self.cells, self.cells)
        self.maps = F.interpolate(grid, side, mode="bilinear", align_corners=False).to(self.device)

    def batch(self, rows: Tensor, how: Augmentation, teacher_share: float) -> Batch:
        """The pictures ``rows`` ``(N,)``, augmented anew."""
        return _Draw(self, rows, how, teacher_share).batch()


class _Draw:
    """One batch in the making."""

    def __init__(self, pictures: Pictures, rows: Tensor, how: Augmentation, teacher_share: float) -> None:
        self.pictures, self.rows, self.how, self.share = pictures, rows, how, teacher_share
        self.n, self.device = len(rows), pictures.device
        self.size, self.cells = pictures.size, pictures.cells
        self.boxes, self.has = pictures.boxes[rows], pictures.has[rows]

    def uniform(self, low: float, high: float) -> Tensor:
        return torch.rand(self.n, device=self.device) * (high - low) + low

    def chance(self, share: float) -> Tensor:
        return torch.rand(self.n, device=self.device) < share

    def batch(self) -> Batch:
        pictures, rows = self.pictures, self.rows
        inverse = self.placement()
        side = torch.arange(self.size, device=self.device, dtype=torch.float32)
        grey = self.collimated(pictures.pixels[rows].float(), side)
        grey = self.sampled(grey[:, None], self.source(inverse, side))
        opinion = self.sampled(pictures.maps[rows], self.source(inverse, self.centres(self.cells)))
        inside = self.inside(self.source(inverse, self.centres(self.cells * FINE)))
        grey = self.patched(self.degraded(self.relit(grey)), inside, side)
        covered = F.avg_pool2d(inside, FINE)
        evidence = (covered / covered.amax((2, 3), keepdim=True).clamp_min(1e-6)).amax(1)
        label, part, located = pictures.label[rows], pictures.part[rows], pictures.located[rows]
        verdict = (1 - self.share) * label + self.share * pictures.probability[rows]
        target = (1 - self.share) * evidence + self.share * opinion
        # CutMix: each picture may get a window of another one of the batch.
        guest = torch.rand(self.n, device=self.device).argsort()
        window = self.window() & (self.chance(self.how.cutmix) & located & located[guest])[:, None, None]
        mixed = window.any(2).any(1)
        fine = window.repeat_interleave(FINE, 1).repeat_interleave(FINE, 2)[:, None]
        seen = torch.maximum(_visible(inside, ~fine), _visible(inside[guest], fine))
        scale = self.size // self.cells
        large = window.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        area = window.float().mean((1, 2))[:, None]
        known = ((part.sum(1) > 0) & (part[guest].sum(1) > 0))[:, None]
        blend = torch.where(known, part * (1 - area) + part[guest] * area, 0.0)
        evidence = torch.where(window, evidence[guest], evidence)
        return Batch(
            pictures=torch.where(large, grey[guest], grey)[:, None],
            part=torch.where(mixed[:, None], blend, part),
            verdict=torch.where(mixed, seen, verdict),
            target=torch.where(window, target[guest], target),
            weight=located[:, None, None] * (1 + (pictures.map_positive - 1) * evidence),
        )

    def placement(self) -> tuple[Tensor, ...]:
        """The inverse of a random placement: its matrix's four entries and its shift, each ``(N,)``."""
        how = self.how
        angle = torch.deg2rad(self.uniform(-how.rotation, how.rotation))
        zoom = torch.exp(self.uniform(-how.zoom, how.zoom))
        flip = [torch.where(self.chance(0.5), -1.0, 1.0) if how.flips else 1.0 for _ in range(2)]
        half = torch.exp(self.uniform(-how.aspect, how.aspect) / 2)
        slope = torch.tan(torch.deg2rad(self.uniform(-how.shear, how.shear)))
        cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        a, b, c, d = (
            cosine * flip[0] * half,
            -sine * flip[1] / half,
            sine * flip[0] * half,
            cosine * flip[1] / half,
        )
        b, d = a * slope + b, c * slope + d
        determinant = a * d - b * c
        shift = [self.uniform(-how.shift, how.shift) * self.size for _ in range(2)]
        return (d / determinant, -b / determinant, -c / determinant, a / determinant, *shift)

    def centres(self, count: int) -> Tensor:
        """Where the centres of ``count`` cells along a side lie, in pixels."""
        return (torch.arange(count, device=self.device) + 0.5) * (self.size / count) - 0.5

    def source(self, inverse: tuple[Tensor, ...], along: Tensor) -> Tensor:
        """Where a target grid comes from: ``(M,)`` along a side to ``(N, M, M, 2)``, in pixels."""
        a, b, c, d, right, down = (value[:, None, None] for value in inverse)
        centre = (self.size - 1) / 2
        x, y = along[None, None, :] - centre - right, along[None, :, None] - centre - down
        return torch.stack([a * x + b * y + centre, c * x + d * y + centre], -1)

    def sampled(self, values: Tensor, source: Tensor) -> Tensor:
        """``values (N, 1, h, w)`` over the square at ``source``; outside 0."""
        where = (2 * source + 1) / self.size - 1
        return F.grid_sample(values, where, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]

    def inside(self, source: Tensor) -> Tensor:
        """Which points lie in which box: ``(N, B, M, M)``, 0 or 1."""
        points, box = source[:, None], self.boxes[:, :, None, None]
        x, y = points[..., 0], points[..., 1]
        within = (x >= box[..., 0]) & (x <= box[..., 2]) & (y >= box[..., 1]) & (y <= box[..., 3])
        return (within & self.has[:, :, None, None]).float()

    def collimated(self, grey: Tensor, side: Tensor) -> Tensor:
        upright = self.chance(0.5)[:, None]
        first = (
            torch.where(upright, self.boxes[..., 0], self.boxes[..., 1]).masked_fill(~self.has, 1e6).amin(1)
        )
        last = (
            torch.where(upright, self.boxes[..., 2], self.boxes[..., 3]).masked_fill(~self.has, -1e6).amax(1)
        )
        near = torch.minimum(self.uniform(*BANDS) * self.size, first)[:, None]
        far = torch.maximum(self.size - self.uniform(*BANDS) * self.size, last)[:, None]
        band = (side[None] < near) | (side[None] > far)
        level = torch.where(self.chance(BRIGHT), self.uniform(200, 256), self.uniform(0, 40)).floor()
        where = torch.where(upright[:, :, None], band[:, None, :], band[:, :, None])
        return torch.where(
            where & self.chance(self.how.collimation)[:, None, None], level[:, None, None], grey
        )

    def relit(self, grey: Tensor) -> Tensor:
        gamma = torch.exp(self.uniform(-self.how.contrast, self.how.contrast))[:, None, None]
        gain = 1 + self.uniform(-self.how.gain, self.how.gain)[:, None, None]
        added = self.uniform(-self.how.brightness, self.how.brightness)[:, None, None]
        curved = 255 * (grey.clamp(0, 255) / 255) ** gamma
        return torch.where(grey > DARK, (curved * gain + added).clamp(0, 255), curved)

    def degraded(self, grey: Tensor) -> Tensor:
        soft = F.avg_pool2d(grey[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        grey = torch.where(self.chance(self.how.blur)[:, None, None], soft, grey)
        spread = self.uniform(0, self.how.noise) * self.chance(self.how.noise_chance)
        return (grey + torch.randn_like(grey) * spread[:, None, None]).clamp(0, 255)

    def patched(self, grey: Tensor, inside: Tensor, side: Tensor) -> Tensor:
        high, wide = self.uniform(*PATCH) * self.size, self.uniform(*PATCH) * self.size
        top, left = self.uniform(0, 1) * (self.size - high), self.uniform(0, 1) * (self.size - wide)

        def patch(along: Tensor) -> Tensor:
            rows = (along[None] >= top[:, None]) & (along[None] < (top + high)[:, None])
            columns = (along[None] >= left[:, None]) & (along[None] < (left + wide)[:, None])
            return rows[:, :, None] & columns[:, None, :]

        touches = (patch(self.centres(self.cells * FINE)) * inside.amax(1)).amax((1, 2)) > 0
        on = (self.chance(self.how.erase) & ~touches)[:, None, None]
        return torch.where(patch(side) & on, self.uniform(0, 255)[:, None, None], grey)

    def window(self) -> Tensor:
        """A random window of whole cells ``(N, h, w)``."""
        high, wide = (
            (self.uniform(*WINDOW) * self.cells).round(),
            (self.uniform(*WINDOW) * self.cells).round(),
        )
        top = (self.uniform(0, 1) * (self.cells - high + 1)).floor()
        left = (self.uniform(0, 1) * (self.cells - wide + 1)).floor()
        along = torch.arange(self.cells, device=self.device, dtype=torch.float32)[None]
        rows = (along >= top[:, None]) & (along < (top + high)[:, None])
        columns = (along >= left[:, None]) & (along < (left + wide)[:, None])
        return rows[:, :, None] & columns[:, None, :]


def _visible(inside: Tensor, shown: Tensor) -> Tensor:
    """The largest share of any box, ``(N, B, M, M)``, at the points ``shown (N, 1, M, M)``."""
    return ((inside * shown).sum((2, 3)) / inside.sum((2, 3)).clamp_min(1e-6)).amax(1)
