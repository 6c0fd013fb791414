"""GDCM in a process of its own: damaged JPEG Lossless makes it end the process, and hang in theory.

JPEG Lossless and JPEG-LS have no other decoder among those that this project may use. A process costs
a third of a second; losing a worker with all that it holds costs more.

``python -m inference_worker.decode.apart`` reads a DICOM file from standard input and writes its
stored values to standard output, in NumPy's file format.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.utils import pixel_array

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
            [sys.executable, "-m", "inference_worker.decode.apart"],
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


def main() -> None:
    """The other side of `stored_values`."""
    warnings.simplefilter("ignore")
    dataset = pydicom.dcmread(BytesIO(sys.stdin.buffer.read()), force=True)
    file = BytesIO()
    np.save(file, pixel_array(dataset, decoding_plugin="gdcm"))
    sys.stdout.buffer.write(file.getvalue())


if __name__ == "__main__":
    main()
