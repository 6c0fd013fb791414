"""A graph's outputs by name, completed to what `Outputs` promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.types import Outputs

#: The outputs of a graph by the names of docs/bundle.md, with their dimensions.
DIMENSIONS = {"part": 2, "logit": 1, "map": 3, "embedding": 2}


def outputs(arrays: Mapping[str, Any], count: int) -> Outputs:
    """Copies of ``arrays`` for ``count`` pictures; an output that the network lacks has width 0."""
    body_part, logit, evidence, embedding = (_array(arrays.get(name), name, count) for name in DIMENSIONS)
    return Outputs(body_part=body_part, logit=logit, map=evidence, embedding=embedding)


def _array(value: Any, name: str, count: int) -> NDArray[np.float32]:
    dimensions = DIMENSIONS[name]
    if value is None:
        return np.zeros((count, *[0] * (dimensions - 1)) if dimensions > 1 else (0,), np.float32)
    # A copy: runtimes give views of memory that the next pass overwrites.
    array = np.array(value, np.float32)
    # Networks exported from a layer of one unit keep its axis.
    return array.reshape(count) if dimensions == 1 else array
