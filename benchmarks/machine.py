"""The machine itself: its processor and libraries, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np

_SIDE = 2048


def describe() -> dict[str, str | int]:
    """Processor, cores and the libraries that matter."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    packages = ("numpy", "opencv-python-headless", "openvino", "tensorflow", "keras", "tf-keras-vis")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def sgemm_rate(rounds: int = 7) -> list[float]:
    """GFLOP/s of NumPy's own single-precision matrix product on all cores, by round."""
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(_SIDE, _SIDE)).astype(np.float32) for _ in range(2))
    left @ right
    rates = []
    for _ in range(rounds):
        start = perf_counter()
        left @ right
        rates.append(2 * _SIDE**3 / (perf_counter() - start) / 1e9)
    return rates
