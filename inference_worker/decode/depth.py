"""The picture at its stored depth: whole numbers from 0, brighter ones higher, and the window as sent.

The display picture has 256 levels, and what lies outside the window as sent is lost in it. The viewer opens
another window on the numbers made here. A picture of at most 256 values has none: its display picture holds
them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference_worker.decode import grey
from inference_worker.types import Depth

#: The display picture holds so many values.
_SHALLOW = 256
_HIGHEST = 0xFFFF
#: Points of a tone curve that is no straight line.
_POINTS = 256
#: Values beyond this many times the percentile range say nothing: float pictures use ±1e38 for "no value".
_FAR = 4.0
_PERCENTILES = (0.1, 99.9)
_SAMPLE = 1_000_000
#: Pixels that are turned to codes at once: large pictures must fit the memory.
_AT_ONCE = 1_000_000

Mask = NDArray[np.bool_]


def linear(
    values: NDArray[Any],
    black: float,
    white: float,
    *,
    mask: Mask | None = None,
    scale: tuple[float, float] = (1.0, 0.0),
) -> Depth | None:
    """Depth of ``values`` ``(H, W)`` that are shown black at the value ``black`` and white at ``white``.

    ``black`` above ``white`` is an inverted picture. ``mask`` is what is no part of it (padding).
    ``scale`` is slope and intercept of the numbers that people know the values by. ``None`` for a shallow
    picture.
    """
    coded = _coded(values, mask, is_falling=white < black)
    if coded is None or black == white:
        return None
    codes, first, step, is_masked = coded
    return Depth(
        codes=codes,
        level=((black + white) / 2 - first) / step,
        width=abs((white - black) / step),
        first=first * scale[0] + scale[1],
        step=step * scale[0],
        is_masked=is_masked,
    )


def curved(
    values: NDArray[Any], show: Callable[[NDArray[Any]], NDArray[np.uint8]], *, mask: Mask | None = None
) -> Depth | None:
    """Depth of ``values`` ``(H, W)`` that ``show`` maps to display levels, not along a straight line."""
    coded = _coded(values, mask, is_falling=False)
    if coded is None:
        return None
    codes, first, step, is_masked = coded
    levels = show(first + step * np.arange(int(codes.max()) + 1))
    if is_masked:  # code 0 is the mask's and no point of the curve
        levels[0] = levels[1]
    half = len(levels) // 2
    if levels[:half].mean() > levels[half:].mean():
        top = int(codes.max()) + is_masked
        codes = np.where(codes == 0, 0, top - codes).astype(np.uint16) if is_masked else top - codes
        first, step = first + top * step, -step
        levels = levels[::-1] if not is_masked else np.concatenate([levels[-1:], levels[:0:-1]])
    # The window is where the curve changes; beyond its ends all is as at them.
    changes = np.flatnonzero(np.diff(levels.astype(np.int16)))
    low, high = (int(changes[0]), int(changes[-1]) + 1) if changes.size else (0, len(levels) - 1)
    points = np.interp(np.linspace(low, high, _POINTS), np.arange(len(levels)), levels)
    return Depth(
        codes=codes,
        level=(low + high) / 2,
        width=float(high - low),
        first=first,
        step=step,
        is_masked=is_masked,
        curve=tuple(int(point) for point in np.rint(points)),
    )


class _Coded(NamedTuple):
    """``first`` is the value of code 0, ``step`` that of a step up."""

    codes: NDArray[np.uint16]
    first: float
    step: float
    is_masked: bool


def _coded(values: NDArray[Any], mask: Mask | None, *, is_falling: bool) -> _Coded | None:
    """Codes that rise, or fall, with the values; ``None`` for a shallow picture."""
    if np.issubdtype(values.dtype, np.integer):
        known = values if mask is None else values[~mask]
        if not known.size:
            return None
        low, high = float(known.min()), float(known.max())
        unit = float(_common_step(known)) if high - low < _HIGHEST else 1.0
    else:
        unknown = ~np.isfinite(values)
        if unknown.any():
            mask = unknown if mask is None else mask | unknown
        found = _range(values if mask is None else values[~mask])
        if found is None:
            return None
        low, high, unit = *found, 0.0
    offset = 0 if mask is None else 1
    if high - low > (_HIGHEST - offset) * unit:
        unit = (high - low) / (_HIGHEST - offset)
    if high - low < _SHALLOW * unit or unit == 0:
        return None
    base = high if is_falling else low
    step = -unit if is_falling else unit

    def code(levels: NDArray[Any]) -> NDArray[np.uint16]:
        codes = np.empty(levels.shape, np.uint16)
        flat, out = levels.reshape(-1), codes.reshape(-1)
        for start in range(0, flat.size, _AT_ONCE):
            some = np.nan_to_num(flat[start : start + _AT_ONCE].astype(np.float64))
            out[start : start + _AT_ONCE] = np.clip(np.rint((some - base) / step + offset), 0, _HIGHEST)
        return codes

    codes = grey.looked_up(values, code)
    if mask is not None:
        codes[mask] = 0
    return _Coded(codes, base - offset * step, step, mask is not None)


def _common_step(known: NDArray[Any]) -> int:
    """The power of 2 by which all values lie apart: 12 bits at the upper end of 16 are 12 bits."""
    used = int(
        np.bitwise_or.reduce((known - known.ravel()[0]).ravel())
    )  # may wrap, which leaves the low bits
    return used & -used


def _range(known: NDArray[Any]) -> tuple[float, float] | None:
    """Lowest and highest of finite float values, without those that are far from all others."""
    if not known.size:
        return None
    sample = known.ravel()[:: max(1, known.size // _SAMPLE)].astype(np.float64)
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    reach = _FAR * (high - low)
    low, high = max(float(known.min()), low - reach), min(float(known.max()), high + reach)
    return (low, high) if low < high else None
