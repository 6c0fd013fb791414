"""DICOM to a radiograph: refuse what is not one projection, decode, window, invert."""

from __future__ import annotations

import logging
import math
import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000TransferSyntaxes

from inference_worker.decode import codestream, grey, subprocess_decode, voi
from inference_worker.decode.limits import Limits
from inference_worker.dicom_attributes import DECODERS, GDCM, PIXELS, SPACINGS
from inference_worker.projections import known_other
from inference_worker.sniff import has_preamble
from inference_worker.types import Radiograph, UnreadableError

# pydicom quotes header values in its log, and those are patients' data. What matters of it becomes an
# `UnreadableError`.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

#: Also of JPEG 2000's rare kinds, which the portal does not take. For others pydicom chooses.
_DECODERS = {**dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"), **DECODERS}

_DICOMDIR = "1.2.840.10008.1.3.10"
_PIXEL_KEYWORDS = (PIXELS, "FloatPixelData", "DoubleFloatPixelData")


def decode_dicom(data: bytes, limits: Limits) -> Radiograph:
    """A DICOM file to a radiograph. Raises `UnreadableError`."""
    dataset, ends_early = _parse(data, limits)
    try:
        _check(dataset, ends_early, limits)
        stored = _stored(dataset, data)
        pixels, chroma = _shown(stored, dataset)
        return Radiograph(pixels=np.ascontiguousarray(pixels), chroma=chroma, spacing=_spacing(dataset))
    except (UnreadableError, MemoryError):
        raise
    # Element values are converted when they are first used, and decoders come from three
    # libraries: whatever any of them raises means that this file cannot be shown.
    except Exception as error:
        if ends_early or "less than expected" in str(error):
            raise _truncated() from error
        raise UnreadableError(
            "corrupt",
            "The DICOM file's picture is damaged or in an encoding that cannot be decoded here; "
            "export it again, uncompressed if possible.",
        ) from error


def _parse(data: bytes, limits: Limits) -> tuple[Dataset, bool]:
    """The data set, and whether the file ended in the middle of an element."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = pydicom.dcmread(BytesIO(_inflated(data, limits)), force=not has_preamble(data))
        except (UnreadableError, MemoryError):
            raise
        # From bytes in memory, these come only where an element is begun and the bytes run out.
        except (EOFError, OSError, struct.error) as error:
            raise _truncated() from error
        # As above: pydicom raises what a damaged file made Python raise.
        except Exception as error:
            raise UnreadableError(
                "corrupt", "The DICOM file is damaged and cannot be decoded; send it again from its source."
            ) from error
    return dataset, any("end of file" in str(warning.message).lower() for warning in caught)


def _inflated(data: bytes, limits: Limits) -> bytes:
    """The same file with a deflated data set unpacked, within the limit: pydicom unpacks without one."""
    if not has_preamble(data):
        return data
    stream = BytesIO(data)
    read_preamble(stream, force=False)
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: bool(tag.group != 2),
    )
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return data
    start = stream.tell()
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = unpacker.decompress(data[start:], limits.file_bytes)
    if unpacker.unconsumed_tail:
        limits.check_bytes(limits.file_bytes + 1)
    if not unpacker.eof:
        raise _truncated()
    padded = ExplicitVRLittleEndian.encode().ljust(len(DeflatedExplicitVRLittleEndian), b"\x00")
    head = data[:start].replace(DeflatedExplicitVRLittleEndian.encode(), padded)
    return head + unpacked


def _check(dataset: Dataset, ends_early: bool, limits: Limits) -> None:
    other = known_other(
        sop_class=str(dataset.get("SOPClassUID") or ""),
        modality=str(dataset.get("Modality") or ""),
        is_index=dataset.get("MediaStorageSOPClassUID") == _DICOMDIR or "DirectoryRecordSequence" in dataset,
    )
    if other:
        raise UnreadableError(
            "not_a_projection",
            f"The DICOM file is {other}, not a projection radiograph; send a plain X-ray "
            "(modality CR, DX or similar).",
        )
    if not any(keyword in dataset for keyword in _PIXEL_KEYWORDS):
        if ends_early:
            raise _truncated()
        if "EncryptedAttributesSequence" in dataset:
            raise UnreadableError(
                "encrypted", "The DICOM file is encrypted; export it again without encryption."
            )
        raise UnreadableError("no_pixels", "The DICOM file holds no picture; send the study's image files.")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableError(
            "multi_frame",
            f"The DICOM file holds {frames:,} frames; send each radiograph as a file of its own.",
        )
    width, height = int(dataset.Columns), int(dataset.Rows)
    limits.check_size(width, height)
    syntax = _syntax(dataset)
    if syntax is not None and syntax.is_encapsulated:
        codestream.check(get_frame(dataset.PixelData, 0, number_of_frames=1), width, height)
    if ends_early and PIXELS not in dataset:
        raise _truncated()


def _stored(dataset: Dataset, data: bytes) -> NDArray[Any]:
    decoder = _DECODERS.get(_syntax(dataset), "")
    if decoder == GDCM:
        return subprocess_decode.stored_values(data)
    return pixel_array(dataset, decoding_plugin=decoder)


def _syntax(dataset: Dataset) -> Any:
    return getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")


def _shown(stored: NDArray[Any], dataset: Dataset) -> tuple[NDArray[np.uint8], float]:
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip()
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
    if stored.ndim == 3:
        if stored.shape[-1] != 3:
            raise UnreadableError(
                "unsupported_encoding",
                f"The DICOM file's picture has {stored.shape[-1]} channels; export it as grey or RGB.",
            )
        return grey.from_rgb(stored if stored.dtype == np.uint8 else grey.from_deep(stored))
    return voi.to_display(stored, dataset), 0.0


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Millimetres per pixel (row, column), from the first of `SPACINGS` that holds two."""
    for keyword in SPACINGS:
        value = dataset.get(keyword)
        if value is not None and len(value) == 2 and all(0 < float(one) < math.inf for one in value):
            return float(value[0]), float(value[1])
    return None


def _truncated() -> UnreadableError:
    return UnreadableError(
        "truncated", "The DICOM file ends before its picture does; send it again from its source."
    )
