"""CutMix (Yun et al. 2019) for pictures whose fractures are boxed.

A window of one picture shows another one at the same place. Whether a fracture is still to be seen is then
known from the boxes: the label is the largest visible share of any of them, and not the window's area.
Windows end where cells of the evidence map end, so that targets of maps are cut exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.learning.augment import FINENESS, Corners, Pixels, drawn

#: Sides of the window, in shares of the picture's.
WINDOW = (0.3, 0.8)
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sample:
    """One augmented picture with what it should teach.

    ``pixels`` ``uint8 (S, S)``; ``boxes`` as corners in them; ``part`` ``(P,)`` sums to 1, or is 0 where the
    part is unknown; ``label`` and ``verdict`` 0 to 1, with the teacher's opinion in the latter. ``evidence``
    ``(cells, cells)`` is what the boxes say of the map, ``target`` the same with the teacher's opinion;
    ``located`` is false for an abnormal picture without a box, which teaches the map nothing.
    """

    pixels: Pixels
    boxes: tuple[Corners, ...]
    body_part: Floats
    label: float
    verdict: float
    evidence: Floats
    target: Floats
    located: bool


def cutmix(samples: Sequence[Sample], chance: float, generator: np.random.Generator) -> list[Sample]:
    """``samples``, some of them with a window from another one of them.

    Pictures of which nobody knows where the fracture lies are neither cut nor shown in a window.
    """
    mixed = list(samples)
    known = [slot for slot, sample in enumerate(samples) if sample.located]
    for slot in known:
        if generator.random() >= chance or len(known) < 2:
            continue
        place = int(generator.integers(0, len(known) - 1))
        other = known[place + (known[place] >= slot)]
        mixed[slot] = mix(samples[slot], samples[other], window(samples[slot].target.shape[0], generator))
    return mixed


def window(cells: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """The cells ``(cells, cells)`` of a random window."""
    high, wide = (max(1, round(share * cells)) for share in generator.uniform(*WINDOW, 2))
    top, left = (int(generator.integers(0, cells - side + 1)) for side in (high, wide))
    inside = np.zeros((cells, cells), bool)
    inside[top : top + high, left : left + wide] = True
    return inside


def mix(host: Sample, guest: Sample, inside: NDArray[np.bool_]) -> Sample:
    """``host`` with ``guest`` in the cells ``inside``: labels by what is visible, parts by area.

    The teacher saw neither picture cut: it has no say in the verdict, and in the map cell by cell.
    """
    size, cells = host.pixels.shape[0], inside.shape[0]
    pixels = np.where(_enlarged(inside, size // cells), guest.pixels, host.pixels)
    label = max(
        _visible(host, ~inside, size, cells),
        _visible(guest, inside, size, cells),
    )
    area = np.float32(inside.mean())
    return replace(
        host,
        pixels=pixels,
        boxes=(*host.boxes, *guest.boxes),
        body_part=_part(host.body_part, guest.body_part, area),
        label=label,
        verdict=label,
        evidence=np.where(inside, guest.evidence, host.evidence),
        target=np.where(inside, guest.target, host.target),
    )


def _part(host: Floats, guest: Floats, area: np.float32) -> Floats:
    """Unknown if either is."""
    return host * (1 - area) + guest * area if host.any() and guest.any() else np.zeros_like(host)


def _visible(sample: Sample, shown: NDArray[np.bool_], size: int, cells: int) -> float:
    """The largest share of any box in the cells ``shown``; boxes that have left the picture do not count."""
    fine = _enlarged(shown, FINENESS)
    shares = [0.0]
    for corners in sample.boxes:
        box = drawn(corners, size, cells)
        if box.any():
            shares.append(float(box[fine].sum()) / float(box.sum()))
    return max(shares)


def _enlarged(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    return mask.repeat(times, axis=0).repeat(times, axis=1)
