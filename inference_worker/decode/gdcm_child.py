"""The child process of `inference_worker.decode.subprocess_decode`.

Takes a DICOM file from standard input and writes its stored values to standard output, in NumPy's
file format. The exit status is not 0 if GDCM cannot decode it.
"""

from __future__ import annotations

import sys
import warnings
from io import BytesIO

import numpy as np
import pydicom
from pydicom.pixels.utils import pixel_array

from inference_worker.dicom_attributes import GDCM

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    dataset = pydicom.dcmread(BytesIO(sys.stdin.buffer.read()), force=True)
    file = BytesIO()
    np.save(file, pixel_array(dataset, decoding_plugin=GDCM))
    sys.stdout.buffer.write(file.getvalue())
