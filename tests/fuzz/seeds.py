"""Small sound files of every kind that is read, drawn in code, for the fuzzer to damage."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import tifffile
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import compress
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.inference_worker.drawing import encoded, packed, png_of, radiograph, tiff_of, with_texts, written

HEIGHT, WIDTH = 60, 90
#: Nothing here encodes JPEG Lossless: these are pydicom's.
LOSSLESS_JPEG = ("JPEG-LL.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm")


def film(bits: int) -> np.ndarray:
    """A ramp with noise, of as many values as the bits allow."""
    rng = np.random.default_rng(bits)
    ramp = np.linspace(0, 2**bits - 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    return np.clip(ramp + rng.normal(0, 2**bits / 50, ramp.shape), 0, 2**bits - 1).astype(np.uint16)


def seeds() -> dict[str, bytes]:
    """Files by the name of their kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict((*_png(), *_jpeg(), *_tiff(), *_dicom()))


def _png() -> Iterator[tuple[str, bytes]]:
    deep, shallow = film(12), film(8).astype(np.uint8)
    for channels in (1, 2, 3, 4):
        for name, pixels in (("8", shallow), ("16", deep)):
            yield f"png {name} × {channels}", png_of(np.dstack([pixels] * channels))  # noqa: RUF001
    extra = [(b"pHYs", bytes([0, 0, 0, 2, 0, 0, 0, 1, 0])), (b"eXIf", _exif(6)), (b"tRNS", b"\x00\x07")]
    yield "png with chunks", png_of(deep, *extra)
    yield "png palette", encoded(Image.fromarray(shallow).convert("P"), "PNG")
    yield "png 1 bit", encoded(Image.fromarray(shallow > 100), "PNG")


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()[6:]


def _jpeg() -> Iterator[tuple[str, bytes]]:
    shallow = film(8).astype(np.uint8)
    colours = Image.fromarray(np.dstack([shallow, shallow[::-1], shallow]))
    yield "jpeg", encoded(shallow, "JPEG", dpi=(72, 144))
    yield "jpeg progressive", encoded(shallow, "JPEG", progressive=True)
    yield "jpeg colours", encoded(colours, "JPEG", orientation=8)
    yield "jpeg cmyk", encoded(colours.convert("CMYK"), "JPEG")


def _tiff() -> Iterator[tuple[str, bytes]]:
    deep, shallow = film(12), film(8).astype(np.uint8)
    size = (WIDTH, HEIGHT)
    for bits in (10, 12, 14):
        yield f"tiff {bits} packed", tiff_of(packed(film(bits), bits), *size, t258=bits)
    yield "tiff 16", tiff_of(deep.tobytes(), *size, t258=16, t282=(2, 1), t283=(1, 1), t274=3)
    yield "tiff big endian", tiff_of(deep.astype(">u2").tobytes(), *size, ">", t258=16, t262=0)
    big = BytesIO()
    with tifffile.TiffWriter(big, bigtiff=True) as file:
        file.write(deep, photometric="minisblack", compression="zlib")
    yield "tiff big", big.getvalue()
    yield "tiff signed", tiff_of((deep.astype("<i2") - 900).tobytes(), *size, t258=16, t339=2)
    yield "tiff float", tiff_of(deep.astype("<f4").tobytes(), *size, t258=32, t339=3)
    plane = len(deep.tobytes())
    places = {"t273": (8, 8 + plane, 8 + 2 * plane), "t279": (plane,) * 3}
    yield "tiff planes", tiff_of(deep.tobytes() * 3, *size, t258=(16,) * 3, t277=3, t262=2, t284=2, **places)
    yield "tiff deflate", tiff_of(zlib.compress(deep.tobytes()), *size, t258=16, t259=8)
    for name in ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate"):
        yield f"tiff {name}", encoded(shallow, "TIFF", compression=name)
    yield "tiff fax", encoded(Image.fromarray(shallow > 100), "TIFF", compression="group4")


def _dicom() -> Iterator[tuple[str, bytes]]:
    deep = film(12)
    window = {"WindowCenter": 1500, "WindowWidth": 1200}
    yield "dicom", written(radiograph(deep, **window, PixelSpacing=[0.2, 0.1]))
    yield (
        "dicom signed",
        written(radiograph(deep.astype(np.int16) - 900, RescaleSlope=2, RescaleIntercept=-5)),
    )
    yield "dicom texts", written(with_texts(radiograph(deep), WindowCenter="15,5", WindowWidth="NaN"))
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], np.arange(4096, dtype="<u2").tobytes()
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        yield f"dicom {keyword}", written(radiograph(deep, **{keyword: [table]}, PixelPaddingValue=7))
    yield "dicom 32", written(radiograph(deep.astype(np.uint32) * 70_000))
    implicit = radiograph(deep)
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    yield "dicom implicit", written(implicit)
    yield "dicom bare", written(implicit)[132:]
    deflated = radiograph(deep)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    yield "dicom deflated", written(deflated)
    real = radiograph(deep, PixelData=None, FloatPixelData=deep.astype(np.float32).tobytes())
    real.BitsAllocated = 32
    yield "dicom real", written(real)
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        coded = radiograph(deep, BitsStored=12)
        coded.HighBit = 11
        compress(coded, syntax, encoding_plugin="")
        yield f"dicom {syntax.name}", written(coded)
    shallow = encoded(film(8).astype(np.uint8), "JPEG")
    for syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        yield f"dicom {syntax.name}", written(_encapsulated(shallow, syntax, 8))
    for name in LOSSLESS_JPEG:
        path = get_testdata_file(name, download=False)
        if path is not None:
            dataset = dcmread(str(path))
            dataset.Modality, dataset.SOPClassUID = "DX", DigitalXRayImageStorageForPresentation
            yield name, written(dataset)


def _encapsulated(frame: bytes, syntax: str, bits: int) -> FileDataset:
    kind = np.uint8 if bits == 8 else np.uint16
    dataset = radiograph(np.zeros((HEIGHT, WIDTH), kind))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame + b"\x00" * (len(frame) % 2)])
    dataset["PixelData"].is_undefined_length = True
    return dataset
