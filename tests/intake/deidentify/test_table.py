"""The table of docs/uploads.md, item by item: each is a file that both doors read, and no item has none."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000 as JPEG2000Lossy
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from inference_worker.decode import decode
from tests.inference_worker.drawing import encoded, packed, png_of, radiograph, tiff_of, written
from xrayportal.intake.deidentify import jpeg, png, tiff
from xrayportal.intake.deidentify.dicom import deidentify

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "uploads.md").read_text()
H, W = 80, 120


def ramp(bits: int) -> np.ndarray:
    return np.linspace(0, 2**bits - 1, H * W).reshape(H, W).astype(np.uint16)


GREY8, GREY12 = ramp(8).astype(np.uint8), ramp(12)
COLOURS = np.dstack([GREY8, GREY8, GREY8])
OPAQUE = np.full_like(GREY8, 255)
PICTURE = Image.fromarray(COLOURS)


def picture(mode: str, name: str, **options: Any) -> bytes:
    return encoded(PICTURE.convert(mode), name, **options)


# --- PNG, JPEG, TIFF --------------------------------------------------------------------------------


def shallow_png(bits: int) -> bytes:
    lines = packed(GREY8 >> (8 - bits), bits)
    rows = b"".join(
        b"\x00" + lines[at : at + len(lines) // H] for at in range(0, len(lines), len(lines) // H)
    )
    return _png(rows, bits, 0)


def interlaced_png() -> bytes:
    """The seven passes of Adam7."""
    passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]
    rows = b"".join(
        b"\x00" + line.tobytes()
        for x, y, across, down in passes
        for line in GREY8[y::down, x::across]
        if line.size
    )
    return _png(rows, 8, 1)


def _png(rows: bytes, bits: int, interlace: int) -> bytes:
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", W, H, bits, 0, 0, 0, interlace)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def deep_tiff(**tags: Any) -> bytes:
    return tiff_of(GREY12.tobytes(), W, H, t258=16, **tags)


def channels_tiff(*channels: np.ndarray, **tags: Any) -> bytes:
    pixels = np.dstack(channels)
    return tiff_of(pixels.tobytes(), W, H, t258=(8,) * len(channels), t277=len(channels), **tags)


def planes_tiff() -> bytes:
    size = GREY12.nbytes
    starts = (8, 8 + size, 8 + 2 * size)
    return tiff_of(
        GREY12.tobytes() * 3, W, H, t258=(16,) * 3, t277=3, t262=2, t284=2, t273=starts, t279=(size,) * 3
    )


PNG: dict[str, Callable[[], bytes]] = {
    "1 bit": lambda: shallow_png(1),
    "2 bits": lambda: shallow_png(2),
    "4 bits": lambda: shallow_png(4),
    "8 bits": lambda: png_of(GREY8),
    "16 bits": lambda: png_of(GREY12),
    "grey": lambda: png_of(GREY8),
    "grey with alpha": lambda: png_of(np.dstack([GREY8, OPAQUE])),
    "RGB": lambda: png_of(COLOURS),
    "RGBA": lambda: png_of(np.dstack([COLOURS, OPAQUE])),
    "palette": lambda: picture("P", "PNG"),
    "deflate": lambda: png_of(GREY8),
    "deflate interlaced": interlaced_png,
}
JPEG: dict[str, Callable[[], bytes]] = {
    "8 bits": lambda: picture("L", "JPEG"),
    "grey": lambda: picture("L", "JPEG"),
    "YCbCr": lambda: picture("RGB", "JPEG"),
    "RGB": lambda: picture("RGB", "JPEG", keep_rgb=True),
    "CMYK": lambda: picture("CMYK", "JPEG"),
    "baseline": lambda: picture("L", "JPEG"),
    "extended": lambda: picture("L", "JPEG").replace(b"\xff\xc0", b"\xff\xc1", 1),
    "progressive": lambda: picture("L", "JPEG", progressive=True),
}
TIFF: dict[str, Callable[[], bytes]] = {
    "1 bit": lambda: tiff_of(packed(GREY8 >> 7, 1), W, H, t258=1),
    # Every depth is tried in test_formats.
    "8 to 32 bits in words or packed": lambda: tiff_of(packed(GREY12, 12), W, H, t258=12),
    "signed": lambda: tiff_of((GREY12.astype("<i2") - 2048).tobytes(), W, H, t258=16, t339=2),
    "float of 16, 32 and 64 bits": lambda: tiff_of(GREY12.astype("<f4").tobytes(), W, H, t258=32, t339=3),
    "separate planes": planes_tiff,
    "WhiteIsZero": lambda: tiff_of((4095 - GREY12).tobytes(), W, H, t258=16, t262=0),
    "BlackIsZero": deep_tiff,
    "grey with alpha": lambda: channels_tiff(GREY8, OPAQUE, t338=2),
    "RGB": lambda: channels_tiff(GREY8, GREY8, GREY8, t262=2),
    "RGBA": lambda: channels_tiff(GREY8, GREY8, GREY8, OPAQUE, t262=2, t338=2),
    "palette of 8 bits": lambda: picture("P", "TIFF"),
    "CMYK of 8 bits": lambda: picture("CMYK", "TIFF"),
    "YCbCr of 8 bits": lambda: picture("YCbCr", "TIFF"),
    "none": deep_tiff,
    "LZW": lambda: picture("L", "TIFF", compression="tiff_lzw"),
    "deflate": lambda: picture("L", "TIFF", compression="tiff_adobe_deflate"),
    "PackBits": lambda: picture("L", "TIFF", compression="packbits"),
    "JPEG of 8 bits": lambda: picture("L", "TIFF", compression="jpeg"),
    "fax of 1 bit": lambda: encoded(Image.fromarray(GREY8 > 127), "TIFF", compression="group4"),
}


# --- DICOM ------------------------------------------------------------------------------------------


def deep(**elements: Any) -> FileDataset:
    dataset = radiograph(GREY12, BitsStored=12, **elements)
    dataset.HighBit = 11
    return dataset


def plain(syntax: str) -> bytes:
    """Without compression; big-endian words are those of a file that was written so."""
    dataset = deep()
    if syntax != ExplicitVRBigEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
        return written(dataset)
    dataset.PixelData = GREY12.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    fresh = pydicom.Dataset()
    fresh.update({element.tag: element for element in dataset})
    fresh.file_meta = dataset.file_meta
    pydicom.dcmwrite(file, fresh, implicit_vr=False, little_endian=False, enforce_file_format=True)
    return file.getvalue()


def compressed(syntax: UID, **options: Any) -> bytes:
    dataset = deep()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.compress(syntax, **options)
    return written(dataset)


def jpeg_in_dicom(syntax: UID) -> bytes:
    frame = picture("L", "JPEG")
    dataset = radiograph(GREY8)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame + b"\x00" * (len(frame) % 2)])
    dataset["PixelData"].is_undefined_length = True
    return written(dataset)


def by_gdcm(syntax: int) -> bytes:
    """Written by GDCM, which is the only encoder of JPEG Lossless here."""
    with TemporaryDirectory() as folder:
        before, after = f"{folder}/before.dcm", f"{folder}/after.dcm"
        Path(before).write_bytes(written(deep()))
        reader = gdcm.ImageReader()
        reader.SetFileName(before)
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(after)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return Path(after).read_bytes()


def in_colours(photometric: str, samples: bytes) -> bytes:
    dataset = radiograph(GREY8, SamplesPerPixel=3, PhotometricInterpretation=photometric)
    dataset.PlanarConfiguration = 0
    dataset.PixelData = samples
    return written(dataset)


def palette() -> bytes:
    dataset = radiograph(GREY8, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        data = (np.arange(256, dtype="<u2") * 257).tobytes()
        setattr(dataset, f"{colour}PaletteColorLookupTableData", data)
    return written(dataset)


def float_dicom() -> bytes:
    dataset = radiograph(
        GREY12.astype(np.uint32), BitsAllocated=32, BitsStored=None, PixelRepresentation=None
    )
    del dataset.PixelData, dataset.HighBit
    dataset.FloatPixelData = GREY12.astype("<f4").tobytes()
    return written(dataset)


GREY_YBR = np.dstack([GREY8, np.full_like(GREY8, 128), np.full_like(GREY8, 128)])
#: Two luminances, then the two colours that they share.
PAIRS = np.stack([GREY8[:, ::2], GREY8[:, 1::2], *[np.full_like(GREY8[:, ::2], 128)] * 2], axis=-1)
DICOM: dict[str, Callable[[], bytes]] = {
    "1 to 32 bits": lambda: written(radiograph(GREY12.astype(np.uint32) * 70_000)),
    "signed": lambda: written(radiograph(GREY12.astype(np.int16) - 2048)),
    "any high bit": lambda: written(radiograph(GREY12 << 4, BitsStored=12)),
    "float": float_dicom,
    "MONOCHROME1": lambda: written(deep(PhotometricInterpretation="MONOCHROME1")),
    "MONOCHROME2": lambda: written(deep()),
    "RGB": lambda: in_colours("RGB", COLOURS.tobytes()),
    "YBR_FULL": lambda: in_colours("YBR_FULL", GREY_YBR.tobytes()),
    "YBR_FULL_422": lambda: in_colours("YBR_FULL_422", PAIRS.tobytes()),
    "PALETTE COLOR": palette,
    ImplicitVRLittleEndian.name: lambda: plain(ImplicitVRLittleEndian),
    ExplicitVRLittleEndian.name: lambda: plain(ExplicitVRLittleEndian),
    ExplicitVRBigEndian.name: lambda: plain(ExplicitVRBigEndian),
    JPEGBaseline8Bit.name: lambda: jpeg_in_dicom(JPEGBaseline8Bit),
    JPEGExtended12Bit.name: lambda: jpeg_in_dicom(JPEGExtended12Bit),
    JPEGLossless.name: lambda: by_gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14),
    JPEGLosslessSV1.name: lambda: by_gdcm(gdcm.TransferSyntax.JPEGLosslessProcess14_1),
    JPEGLSLossless.name: lambda: compressed(JPEGLSLossless),
    JPEGLSNearLossless.name: lambda: compressed(JPEGLSNearLossless, jls_error=2),
    JPEG2000Lossless.name: lambda: compressed(JPEG2000Lossless),
    JPEG2000Lossy.name: lambda: compressed(JPEG2000Lossy, j2k_cr=[4]),
    RLELossless.name: lambda: compressed(RLELossless),
}

FORMATS = {"PNG": PNG, "JPEG": JPEG, "TIFF": TIFF, "DICOM": DICOM}
STRIP = {"PNG": png.strip, "JPEG": jpeg.strip, "TIFF": tiff.strip}


def stated(name: str) -> set[str]:
    """The items of a format's row."""
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| {name} |")]
    (row,) = [line for line in rows if line.count("|") == 5]
    return {item.strip() for cell in row.split("|")[2:-1] for item in cell.split(";")}


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_and_the_files_below_agree(name: str) -> None:
    assert stated(name) == set(FORMATS[name])


@pytest.mark.parametrize(
    ("name", "item"), [(name, item) for name, items in FORMATS.items() for item in items]
)
def test_each_item_is_read_by_the_intake_and_the_decoder(name: str, item: str) -> None:
    source = FORMATS[name][item]()
    if name == "DICOM":
        stored = deidentify(source, b"k" * 32).content if item != "float" else source
    else:
        stored = STRIP[name](source)
    pixels = decode(stored).pixels
    assert np.array_equal(pixels, decode(source).pixels)
    falls = -1 if item == "MONOCHROME1" else 1
    assert np.corrcoef(pixels.ravel(), falls * GREY8.ravel().astype(float))[0, 1] > 0.8
