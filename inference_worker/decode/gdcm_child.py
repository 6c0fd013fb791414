"""The child process of `inference_worker.decode.subprocess_decode`.

Takes a DICOM file from standard input and writes its stored values to standard output, in NumPy's
file format. The exit status is not 0 if GDCM cannot decode it.
"""

from __future__ import annotations

import sys
import warnings
from io import BytesIO

import numpy as np

from inference_worker.decode.subprocess_decode import by_gdcm

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    file = BytesIO()
    np.save(file, by_gdcm(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(file.getvalue())
