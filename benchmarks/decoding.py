"""How long each kind of file takes to decode, at the size of a usual radiograph."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.registry import Row, benchmark
from benchmarks.timing import in_turns, row
from inference_worker.decode import decode
from inference_worker.render import stored_depth

#: Pixels: a knee from a usual detector.
HEIGHT, WIDTH = 2000, 1600
ROUNDS = 5


@benchmark("decoding, 1,600 × 2,000")  # noqa: RUF001  a size is written with a multiplication sign
def decoding() -> Iterable[Row]:
    """Milliseconds by kind of file, and those of the display picture's deep companion."""
    files = dict(_files())
    rounds = in_turns({name: lambda data=data: decode(data) for name, data in files.items()}, ROUNDS, 1)  # type: ignore[misc]
    for name, times in rounds.items():
        yield row(f"{name}, {len(files[name]) / 2**20:.1f} MiB", times)
    depth = decode(files["DICOM 12 bits, plain"]).depth
    assert depth is not None
    encoding = in_turns({"encode": lambda: stored_depth(depth.codes)}, ROUNDS, 1)["encode"]
    yield row(f"write the stored depth, {len(stored_depth(depth.codes)) / 2**20:.1f} MiB", encoding)


def _files() -> Iterator[tuple[str, bytes]]:
    from tests.inference_worker.drawing import encoded, packed, png_of, radiograph, tiff_of, written

    deep = _film()
    shallow = (deep >> 4).astype(np.uint8)
    yield "JPEG", encoded(shallow, "JPEG", quality=92)
    yield "PNG 8 bits", encoded(shallow, "PNG")
    yield "PNG 16 bits", cv2.imencode(".png", deep)[1].tobytes()
    yield "PNG 16 bits, RGB", png_of(np.dstack([deep] * 3))
    yield "TIFF 16 bits", tiff_of(deep.tobytes(), WIDTH, HEIGHT, t258=16)
    yield "TIFF 12 bits, packed", tiff_of(packed(deep, 12), WIDTH, HEIGHT, t258=12)
    window = {"WindowCenter": 2000, "WindowWidth": 3000}
    for name, syntax in (
        ("plain", ExplicitVRLittleEndian),
        ("RLE", RLELossless),
        ("JPEG-LS", JPEGLSLossless),
        ("JPEG 2000", JPEG2000Lossless),
    ):
        dataset = radiograph(deep, BitsStored=12, **window)
        dataset.HighBit = 11
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if syntax != ExplicitVRLittleEndian:
                dataset.compress(syntax)
        yield f"DICOM 12 bits, {name}", written(dataset)


def _film() -> np.ndarray:
    """Twelve bits: soft tissue, two bones and a detector's noise."""
    rng = np.random.default_rng(0)
    canvas = np.full((HEIGHT, WIDTH), 200, np.float32)
    for centre, half, level in ((800, 600, 900.0), (700, 120, 1100.0), (950, 100, 900.0)):
        canvas[:, centre - half : centre + half] += level
    noisy = cv2.GaussianBlur(canvas, (0, 0), 20) + rng.normal(0, 12, canvas.shape)
    return np.clip(noisy, 0, 4095).astype(np.uint16)
