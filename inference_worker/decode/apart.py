"""GDCM in a process of its own: damaged JPEG Lossless makes it end the process, and hang in theory.

JPEG Lossless and JPEG-LS have no other decoder among those that this project may use. A process costs
a third of a second; losing a worker with all that it holds costs more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The largest radiographs take about two seconds.
_SECONDS = 60

_ROOT = Path(__file__).resolve().parents[2]


class DecoderDiedError(Exception):
    """GDCM refused the picture, ended its process or did not come to an end."""


def stored_values(data: bytes) -> NDArray[Any]:
    """The stored values of a DICOM file's picture. Raises `DecoderDiedError`."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "inference_worker.decode.gdcm_child"],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            timeout=_SECONDS,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise DecoderDiedError(type(error).__name__) from error
    values: NDArray[Any] = np.load(BytesIO(answer.stdout), allow_pickle=False)
    return values
