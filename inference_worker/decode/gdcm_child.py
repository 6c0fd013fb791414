"""The other side of `inference_worker.decode.apart`.

Reads a DICOM file from standard input and writes its stored values to standard output, in NumPy's
file format. Ends with another status than 0 if it cannot.
"""

from __future__ import annotations

import sys
import warnings
from io import BytesIO

import numpy as np
import pydicom
from pydicom.pixels.utils import pixel_array

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    dataset = pydicom.dcmread(BytesIO(sys.stdin.buffer.read()), force=True)
    file = BytesIO()
    np.save(file, pixel_array(dataset, decoding_plugin="gdcm"))
    sys.stdout.buffer.write(file.getvalue())
