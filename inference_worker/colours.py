"""The heatmap's colours: a perceptually uniform ramp, computed from a few points in CIELAB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Lightness, chroma, hue in degrees: violet, magenta, vermilion, orange, pale yellow. Lightness only
#: rises, so the order survives in grey print and for colour-blind readers.
_POINTS = (
    (22.0, 42.0, 305.0),
    (40.0, 62.0, 350.0),
    (57.0, 72.0, 392.0),
    (75.0, 68.0, 430.0),
    (94.0, 45.0, 462.0),
)

_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_FROM_XYZ = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


def ramp(entries: int = 256) -> NDArray[np.uint8]:
    """``uint8 (entries, 3)`` sRGB; neighbours differ by the same ΔE (CIE 1976), lightness rises."""
    points = np.array(_POINTS)
    fine = np.linspace(0, len(points) - 1, 4096)
    lightness, chroma, hue = (np.interp(fine, np.arange(len(points)), axis) for axis in points.T)
    angle = np.deg2rad(hue)
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(lab, axis=0), axis=1))])
    even = np.linspace(0, travelled[-1], entries)
    return _to_srgb(np.stack([np.interp(even, travelled, lab[:, axis]) for axis in range(3)], axis=1))


def _to_srgb(lab: NDArray[np.float64]) -> NDArray[np.uint8]:
    """CIELAB (D65) to sRGB, IEC 61966-2-1; what lies outside the gamut is clipped."""
    middle = (lab[:, 0] + 16) / 116
    f = np.stack([middle + lab[:, 1] / 500, middle, middle - lab[:, 2] / 200], axis=1)
    delta = 6 / 29
    xyz = np.where(f > delta, f**3, 3 * delta**2 * (f - 4 / 29)) * _WHITE
    linear = np.clip(xyz @ _FROM_XYZ.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), np.uint8)
