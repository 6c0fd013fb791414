"""A small made-up data set of "bones" with "fractures", and where the real one lies if it is there."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT

SHARED = Path(os.environ.get("XRAY_SHARED", ROOT.parent / "shared"))
PARTS = ("hand", "wrist")
#: As ``lite0.STAGES``; the features at a sixteenth are those of the fifth, which has no block of its own.
SHALLOW = (
    (3, 2, 1, 8, 1),
    (3, 2, 1, 8, 1),
    (5, 2, 2, 16, 1),
    (3, 1, 1, 16, 1),
    (3, 1, 1, 16, 0),
    (3, 2, 2, 32, 1),
    (3, 1, 1, 32, 0),
)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder of shared data is absent")
    return SHARED


@pytest.fixture(scope="module")
def shallow() -> Iterator[None]:
    """Lite0 with every kind of block but few and narrow ones: tracing a graph costs by its layers.

    For tests of the way from data to bundle, to which the depth is nothing; the whole network has
    its own tests.
    """
    from training.network import lite0  # Keras is slow to load, and not every test here needs it

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lite0, "STAGES", SHALLOW)
        patch.setattr(lite0, "STEM_CHANNELS", 8)
        patch.setattr(lite0, "TOP_CHANNELS", 64)
        yield


@contextmanager
def few_graphs(count: int) -> Iterator[None]:
    """The first ``count`` networks that are trained get a graph, as all do elsewhere; the rest get none.

    Tracing a graph takes longer than a few dozen steps without one.
    """
    import keras

    compile_, graphs = keras.Model.compile, iter(range(count))

    def compile_some(*arguments: Any, **named: Any) -> None:
        compile_(*arguments, **named, run_eagerly=next(graphs, None) is None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", compile_some)
        yield


def outputs_of(network: Any, pictures: np.ndarray) -> Any:
    """What a Keras network makes of the pictures: an array, or arrays by name.

    Layer by layer: ``predict_on_batch`` traces a graph of the whole network first, and for one batch takes
    six times as long.
    """
    found = network(pictures, training=False)
    if isinstance(found, dict):
        return {name: np.asarray(value) for name, value in found.items()}
    return np.asarray(found)


def draw_bone(seed: int, broken: bool) -> tuple[np.ndarray, list[list[float]]]:
    """A bright bar on dark ground; a broken one has a dark gap, and its box comes with it."""
    generator = np.random.default_rng(seed)
    picture = generator.integers(10, 40, (96, 80)).astype(np.uint8)
    left, width = int(generator.integers(20, 44)), int(generator.integers(10, 18))
    picture[:, left : left + width] = generator.integers(150, 240)
    if not broken:
        return picture, []
    top = int(generator.integers(20, 66))
    picture[top : top + 8, left : left + width] = 20
    return picture, [[left - 2, top - 2, left + width + 2, top + 10]]


@pytest.fixture(scope="session")
def bones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 96 made-up pictures, 24 groups, in the plain CSV form."""
    folder = tmp_path_factory.mktemp("bones")
    with (folder / "bones.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "group", "split", "part", "abnormal", "flags", "boxes"])
        for index in range(96):
            broken = index % 3 == 0
            picture, boxes = draw_bone(index, broken)
            cv2.imwrite(str(folder / f"{index}.png"), picture)
            split = "test" if index // 4 % 4 == 3 else "train"
            flags = "hw" if index % 12 == 0 else ""
            row = [f"{index}.png", f"g{index // 4}", split, PARTS[index % 2], int(broken)]
            writer.writerow([*row, flags, json.dumps(boxes)])
    return folder / "bones.csv"
