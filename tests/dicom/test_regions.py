"""The outlines that go back to a PACS, in pixels of the original image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xrayportal.dicom.results.regions import outlines


def evidence_map(values: list[list[float]]) -> dict[str, Any]:
    height, width = np.shape(values)
    return {"height": height, "width": width, "scale": 1.0, "values": np.ravel(values).tolist()}


def test_the_strongest_region_comes_first_and_each_is_closed() -> None:
    marked = outlines(evidence_map([[0, 4, 0, 0, 0, 5, 0], [0] * 7]), 700, 200)
    # The line runs at 2.5: half-way to the next cell's middle, and three eighths of the way.
    expected = [((500, 0), (600, 100)), ((112.5, 0), (187.5, 87.5))]
    assert len(marked) == len(expected)
    for outline, (least, most) in zip(marked, expected, strict=True):
        assert (outline[0] == outline[-1]).all()
        assert outline.min(axis=0) == pytest.approx(least, abs=4)
        assert outline.max(axis=0) == pytest.approx(most, abs=4)


def test_a_hole_is_outlined_after_its_region() -> None:
    outer, hole = outlines(evidence_map([[1, 1, 1], [1, -9, 1], [1, 1, 1]]), 300, 300)
    assert np.ptp(outer, axis=0).min() > 290
    assert np.ptp(hole, axis=0) == pytest.approx((100, 100), abs=8)


def test_without_evidence_nothing_is_outlined() -> None:
    assert outlines(None, 30, 20) == outlines(evidence_map([[0, -1]]), 30, 20) == []
