"""How else a picture might have reached us: other sizes, sharpness, compression, borders, inversion; or with
metal.

Radiographs and strangers are varied alike, so that none of this tells the one from the other.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Layer = NDArray[np.float32]
Point = NDArray[np.float64]
#: Longest side in pixels that a varied picture is reduced to; quality of its JPEG.
SIDES, QUALITY = (140, 1000), (30, 96)
#: A side is never shorter than this.
LEAST = 8


def varied(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """``uint8 (H, W)``, by chance cropped, turned, reduced, resharpened, relit, framed, inverted, packed."""
    chance = generator.random
    if chance() < 0.5:
        pixels = _cropped(pixels, generator)
    if chance() < 0.3:
        pixels = np.rot90(pixels, int(generator.integers(1, 4)))
    if chance() < 0.3:
        pixels = pixels[:, ::-1]
    pixels = np.ascontiguousarray(pixels)
    if chance() < 0.4:
        pixels = _turned(pixels, generator)
    pixels = _reduced(pixels, generator)
    sharpness = chance()
    if sharpness < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), generator.uniform(0.4, 1.6)).astype(np.uint8)
    elif sharpness < 0.5:
        pixels = _sharpened(pixels, generator)
    if chance() < 0.4:
        curve = 255 * (np.arange(256) / 255) ** np.exp(generator.uniform(-0.5, 0.5))
        pixels = cv2.LUT(pixels, np.rint(curve).astype(np.uint8)).astype(np.uint8)
    if chance() < 0.25:
        noise = generator.normal(0, generator.uniform(2, 10), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if chance() < 0.3:
        pixels = _framed(pixels, generator)
    if chance() < 0.15:
        pixels = (255 - pixels).astype(np.uint8)
    return _compressed(pixels, generator) if chance() < 0.6 else pixels


def with_metal(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """``uint8 (H, W)`` with one to three bright shapes as of implants: stems, plates, nails, heads."""
    pixels = pixels.copy()
    height, width = pixels.shape
    for _ in range(int(generator.integers(1, 4))):
        layer = np.zeros(pixels.shape, np.float32)
        centre = generator.uniform(0.25, 0.75, 2) * (width, height)
        angle = generator.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        draw = (_stem, _plate, _nail, _head)[int(generator.integers(0, 4))]
        draw(layer, centre, along, min(height, width), generator)
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), generator.uniform(0.5, 1.5)), np.float32)
        pixels = (pixels * (1 - layer) + layer * generator.uniform(225, 255)).astype(np.uint8)
    return pixels


def _cropped(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    height, width = pixels.shape
    tall, wide = (max(LEAST, int(side)) for side in generator.uniform(0.6, 1, 2) * (height, width))
    top, left = (
        generator.integers(0, max(1, height - tall + 1)),
        generator.integers(0, max(1, width - wide + 1)),
    )
    return pixels[top : top + tall, left : left + wide]


def _turned(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    height, width = pixels.shape
    zoom = float(np.exp(generator.uniform(-0.2, 0.2)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), generator.uniform(-20, 20), zoom)
    return cv2.warpAffine(pixels, matrix, (width, height)).astype(np.uint8)


def _reduced(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    side = float(np.exp(generator.uniform(*np.log(SIDES))))
    share = min(1.0, side / max(pixels.shape))
    height, width = (max(LEAST, round(length * share)) for length in pixels.shape)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _sharpened(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    soft = cv2.GaussianBlur(pixels, (0, 0), 1.5).astype(np.float32)
    return np.clip(pixels + generator.uniform(0.3, 1.2) * (pixels - soft), 0, 255).astype(np.uint8)


def _framed(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    top, bottom, left, right = (int(width) for width in generator.uniform(0, 0.2, 4) * max(pixels.shape))
    level = int(generator.choice([0, 0, 255, int(generator.integers(0, 256))]))
    return np.pad(pixels, ((top, bottom), (left, right)), constant_values=level)


def _compressed(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(*QUALITY))]
    decoded = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_GRAYSCALE)
    return np.asarray(decoded, np.uint8)


def _stem(layer: Layer, centre: Point, along: Point, side: int, generator: np.random.Generator) -> None:
    length, thick = generator.uniform(0.2, 0.5) * side, generator.uniform(0.04, 0.1) * side
    across = np.array([-along[1], along[0]])
    ends = [(-0.5, -0.5), (0.5, -0.2), (0.5, 0.2), (-0.5, 0.5)]
    corners = [centre + length * x * along + thick * y * across for x, y in ends]
    cv2.fillPoly(layer, [np.rint(corners).astype(np.int32)], (1.0,))
    radii = [int(radius) for radius in generator.uniform(0.05, 0.13, 2) * side]
    turn, sweep = float(np.degrees(np.arctan2(along[1], along[0]))), float(generator.choice([180, 360]))
    cv2.ellipse(layer, _at(centre - length / 2 * along), radii, turn, 0, sweep, (1.0,), -1)


def _plate(layer: Layer, centre: Point, along: Point, side: int, generator: np.random.Generator) -> None:
    length, thick = generator.uniform(0.25, 0.6) * side, generator.uniform(0.02, 0.05) * side
    across = np.array([-along[1], along[0]])
    start, end = centre - length / 2 * along, centre + length / 2 * along
    cv2.line(layer, _at(start), _at(end), (1.0,), max(1, int(thick)))
    for share in np.linspace(0.05, 0.95, int(generator.integers(3, 9))):
        screw = start + share * length * along
        tip = screw + generator.uniform(2, 6) * thick * across
        cv2.line(layer, _at(screw), _at(tip), (1.0,), max(1, int(thick / 4)))


def _nail(layer: Layer, centre: Point, along: Point, side: int, generator: np.random.Generator) -> None:
    half = generator.uniform(0.15, 0.35) * side * along
    cv2.line(
        layer,
        _at(centre - half),
        _at(centre + half),
        (1.0,),
        max(2, int(generator.uniform(0.015, 0.04) * side)),
    )


def _head(layer: Layer, centre: Point, along: Point, side: int, generator: np.random.Generator) -> None:
    thick = -1 if generator.random() < 0.6 else max(2, int(0.02 * side))
    cv2.circle(layer, _at(centre), max(1, int(generator.uniform(0.04, 0.14) * side)), (1.0,), thick)


def _at(point: Point) -> tuple[int, int]:
    return int(point[0]), int(point[1])
