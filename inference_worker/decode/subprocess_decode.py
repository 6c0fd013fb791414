"""Runs GDCM where it may end its process or hang, as it can on damaged JPEG Lossless.

JPEG Lossless and JPEG-LS have no other decoder among those that this project may use. A process costs
a third of a second; losing a worker with all its claims costs more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.utils import pixel_array

from inference_worker.dicom_attributes import GDCM
from inference_worker.dicom_layout import complete

#: The largest radiographs take about two seconds.
_SECONDS = 60

#: Set in a process that may be ended by a decoder: GDCM then runs in it.
is_expendable = False

_ROOT = Path(__file__).resolve().parents[2]


class DecoderDiedError(Exception):
    """GDCM refused the picture, ended its process or ran out of time."""


def stored_values(data: bytes) -> NDArray[Any]:
    """Decode a whole DICOM file's bytes to its stored values, ``(H, W)`` or ``(H, W, C)``.

    Raises `DecoderDiedError`.
    """
    if is_expendable:
        return by_gdcm(data)
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    try:
        child = subprocess.run(
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
    values: NDArray[Any] = np.load(BytesIO(child.stdout), allow_pickle=False)
    return values


def by_gdcm(data: bytes) -> NDArray[Any]:
    """Decode in this process, which a damaged file may end."""
    dataset = pydicom.dcmread(BytesIO(data), force=True)
    complete(dataset)
    return pixel_array(dataset, decoding_plugin=GDCM)
