"""Pictures that are no musculoskeletal radiographs, to set the out-of-distribution detector or to judge it.

The two halves share no photograph and no seed: what set a detector never judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Half = Literal["set", "judge"]
Pixels = NDArray[np.uint8]

#: Photographs and drawings of scikit-image, by the half they belong to.
PHOTOGRAPHS: dict[Half, tuple[str, ...]] = {
    "set": ("camera", "brick", "coffee", "horse", "page", "cell", "hubble_deep_field", "logo", "clock"),
    "judge": (
        "astronaut",
        "chelsea",
        "coins",
        "grass",
        "gravel",
        "moon",
        "retina",
        "rocket",
        "text",
        "colorwheel",
        "immunohistochemistry",
        "shepp_logan_phantom",
    ),
}
SEEDS: dict[Half, int] = {"set": 11, "judge": 12}


@dataclass(frozen=True, slots=True)
class Outlier:
    """A picture out of scope: what kind it is, and ``uint8 (H, W)`` grey levels as displayed."""

    kind: str
    pixels: Pixels


def outliers(half: Half, each: int = 12) -> list[Outlier]:
    """Photographs of ``half``, whole and cropped, and ``each`` drawn pictures of every kind."""
    generator = np.random.default_rng(SEEDS[half])
    pictures = list(_photographs(half, generator))
    for kind, make in DRAWN.items():
        pictures += [Outlier(kind, make(*_sides(generator), generator)) for _ in range(each)]
    pictures.append(Outlier("dot", np.full((1, 1), 128, np.uint8)))
    return pictures


def _photographs(half: Half, generator: np.random.Generator) -> Iterator[Outlier]:
    # Imported here: only training and tests have scikit-image, serving has not.
    from skimage import data

    for name in PHOTOGRAPHS[half]:
        picture = np.asarray(getattr(data, name)())
        if picture.dtype != np.uint8:
            picture = (255 * (picture.astype(np.float64) / max(float(picture.max()), 1e-9))).astype(np.uint8)
        grey = np.asarray(Image.fromarray(picture).convert("L"))
        yield Outlier(f"photograph {name}", grey)
        for _ in range(2):
            yield Outlier(f"crop of {name}", _crop(grey, generator))


def chest(path: str = "RG1_UNCR.dcm") -> Outlier:
    """The chest radiograph of the package pydicom-data, scaled to eight bits from its pixels alone."""
    import pydicom
    from pydicom.data import get_testdata_file

    name = get_testdata_file(path)
    if name is None:
        raise FileNotFoundError(path)
    dataset = pydicom.dcmread(str(name))
    values = dataset.pixel_array.astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))
    grey = np.clip((values - low) / max(high - low, 1.0), 0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return Outlier("chest", (255 * grey).astype(np.uint8))


def _sides(generator: np.random.Generator) -> tuple[int, int]:
    width, height = generator.integers(200, 700, 2)
    return int(width), int(height)


def _crop(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    height, width = pixels.shape
    share = generator.uniform(0.3, 0.8)
    tall, wide = max(1, int(height * share)), max(1, int(width * share))
    top, left = int(generator.integers(0, height - tall + 1)), int(generator.integers(0, width - wide + 1))
    return pixels[top : top + tall, left : left + wide]


def _blank(width: int, height: int, generator: np.random.Generator) -> Pixels:
    return np.full((height, width), generator.integers(0, 256), np.uint8)


def _noise(width: int, height: int, generator: np.random.Generator) -> Pixels:
    noise = generator.normal(128, generator.uniform(5, 60), (height, width))
    return np.asarray(cv2.GaussianBlur(np.clip(noise, 0, 255), (0, 0), generator.uniform(0.3, 6))).astype(
        np.uint8
    )


def _ramp(width: int, height: int, generator: np.random.Generator) -> Pixels:
    angle = generator.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:height, 0:width]
    level = np.cos(angle) * columns / width + np.sin(angle) * rows / height
    level = (level - level.min()) / max(float(np.ptp(level)), 1e-9)
    return np.asarray(255 * level, np.uint8)


def _text(width: int, height: int, generator: np.random.Generator) -> Pixels:
    dark = generator.random() < 0.5
    page = np.full((height, width), 0 if dark else 255, np.uint8)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz   ,.0123456789"))
    step = int(generator.integers(14, 34))
    for line in range(step, height, step):
        words = "".join(generator.choice(letters, 90))
        cv2.putText(page, words, (8, line), cv2.FONT_HERSHEY_SIMPLEX, step / 40, 255 if dark else 0, 1)
    return page


def _drawing(width: int, height: int, generator: np.random.Generator) -> Pixels:
    page = np.full((height, width), int(generator.integers(0, 2)) * 255, np.uint8)
    for _ in range(int(generator.integers(4, 20))):
        first, second = (tuple(int(v) for v in generator.integers(0, (width, height))) for _ in range(2))
        grey, thick = int(generator.integers(0, 256)), int(generator.integers(1, 8))
        shape = generator.integers(0, 3)
        if shape == 0:
            cv2.line(page, first, second, grey, thick)
        elif shape == 1:
            cv2.rectangle(page, first, second, grey, -1 if generator.random() < 0.5 else thick)
        else:
            cv2.circle(
                page, first, int(generator.integers(5, 120)), grey, -1 if generator.random() < 0.5 else thick
            )
    return page


def _screenshot(width: int, height: int, generator: np.random.Generator) -> Pixels:
    page = np.full((height, width), int(generator.integers(200, 256)), np.uint8)
    cv2.rectangle(page, (0, 0), (width, 40), int(generator.integers(20, 120)), -1)
    for row in range(60, height - 30, int(generator.integers(40, 90))):
        cv2.rectangle(page, (16, row), (int(width * generator.uniform(0.3, 0.95)), row + 24), 170, -1)
        cv2.putText(page, "Settings  Open  Save", (24, row + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 30, 1)
    return page


def _stripes(width: int, height: int, generator: np.random.Generator) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    period, angle = generator.uniform(6, 80), generator.uniform(0, np.pi)
    wave = np.sin(2 * np.pi * (np.cos(angle) * columns + np.sin(angle) * rows) / period)
    return np.asarray(127.5 + 127.5 * wave, np.uint8)


DRAWN: dict[str, Callable[[int, int, np.random.Generator], Pixels]] = {
    "blank": _blank,
    "noise": _noise,
    "ramp": _ramp,
    "text page": _text,
    "drawing": _drawing,
    "screenshot": _screenshot,
    "stripes": _stripes,
}
