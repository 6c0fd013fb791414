"""Files drawn for edge cases."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

ORIENTATION = 0x0112

Chunk = tuple[bytes, bytes]


def encoded(picture: Any, name: str, orientation: int | None = None, **options: Any) -> bytes:
    """A picture (array or Pillow image) as a file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    file = BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def stored_as(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a camera stores so that EXIF ``orientation`` shows ``upright`` (EXIF 2.3, 4.6.4)."""
    return {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright)


def radiograph(pixels: np.ndarray, **elements: Any) -> FileDataset:
    """A DX data set of unsigned or signed ``pixels``; ``elements`` by keyword, ``None`` removes one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def with_texts(dataset: FileDataset, **texts: str) -> FileDataset:
    """The data set with decimal strings that pydicom would not write, by keyword."""
    for keyword, text in texts.items():
        value = text.encode().ljust(len(text) + len(text) % 2)
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, "DS", len(value), value, 0, False, True)
    return dataset


def written(dataset: pydicom.Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def tiff_of(content: bytes, width: int, height: int, order: str = "<", **tags: Any) -> bytes:
    """An uncompressed TIFF of one strip of the given bytes; ``tags`` as ``t262=0`` or ``t258=(16, 16)``."""
    values: dict[int, tuple[int, ...]] = {
        **{256: (width,), 257: (height,), 258: (8,), 259: (1,), 262: (1,), 273: (8,), 277: (1,)},
        **{278: (height,), 279: (len(content),)},
    }
    for tag, value in tags.items():
        values[int(tag[1:])] = value if isinstance(value, tuple) else (value,)
    at = 8 + len(content)
    extra, entries = b"", []
    for tag, numbers in sorted(values.items()):
        raw = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if tag in (282, 283):  # a rational number
            raw, kind, count = struct.pack(f"{order}2I", *numbers), 5, 1
        else:
            kind, count = 4, len(numbers)
        if len(raw) > 4:
            place = struct.pack(f"{order}I", at + len(extra))
            extra += raw
            raw = place
        entries.append(struct.pack(f"{order}HHI", tag, kind, count) + raw)
    mark = b"II*\x00" if order == "<" else b"MM\x00*"
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    return mark + struct.pack(f"{order}I", at + len(extra)) + content + extra + directory


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of numbers bit by bit, the highest first; each row ends with its byte (TIFF 6.0)."""
    places = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(places.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def png_of(pixels: np.ndarray, *extra: Chunk, after: tuple[Chunk, ...] = ()) -> bytes:
    """A PNG of 8 or 16 bits and one to four channels, with chunks before and after the pixels."""
    height, width, channels = (*pixels.shape, 1)[:3]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, pixels.dtype.itemsize * 8, colour, 0, 0, 0)
    rows = b"".join(b"\x00" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
