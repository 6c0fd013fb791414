"""DICOM to a radiograph: refuse what is not one projection, decode, window, invert."""

from __future__ import annotations

import logging
import math
import struct
import warnings
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    RLELossless,
)

from inference_worker import codestream, dicom_deflated, jpeg_header
from inference_worker.decode import grey, jpeg, subprocess_decode, voi
from inference_worker.decode.limits import Limits
from inference_worker.decode.upright import Shown, finish
from inference_worker.dicom_attributes import DECODERS, GDCM, PIXELS, SPACINGS
from inference_worker.dicom_layout import complete, is_decoded
from inference_worker.dicom_numbers import mend
from inference_worker.projections import known_other
from inference_worker.sniff import has_preamble
from inference_worker.types import Radiograph, UnreadableError

# pydicom quotes header values in its log, and those are patients' data. What matters of it becomes an
# `UnreadableError`.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

#: Also of JPEG 2000's rare kinds, which the portal does not take. For others pydicom chooses.
_DECODERS = {**dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"), **DECODERS}

_DICOMDIR = "1.2.840.10008.1.3.10"


def decode_dicom(data: bytes, limits: Limits) -> Radiograph:
    """A DICOM file to a radiograph. Raises `UnreadableError`."""
    dataset, ends_early = _parse(data, limits)
    try:
        complete(dataset)
        _check(dataset, ends_early, limits)
        _state_syntax(dataset)
        _check_frame(dataset)
        noted = mend(dataset)
        stored = _stored(dataset, data)
        shown = _shown(stored, dataset)
        spacing = _spacing(dataset)
        shown = replace(shown, notes=(*noted, *shown.notes))
        return finish(shown, limits, tall=_tall(dataset, spacing), spacing=spacing)
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
            dataset = pydicom.dcmread(
                BytesIO(dicom_deflated.inflated(data, limits.file_bytes)), force=not has_preamble(data)
            )
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
    if not any(keyword in dataset for keyword in PIXELS):
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
    if ends_early and PIXELS[0] not in dataset:
        raise _truncated()
    if dataset.BitsAllocated and not is_decoded(dataset):
        raise UnreadableError(
            "unsupported_encoding",
            "The DICOM file's samples are of a rare kind that cannot be decoded here; "
            "export it again as grey or RGB.",
        )


def _check_frame(dataset: Dataset) -> None:
    """Refuse a compressed frame that its decoder should not see."""
    syntax = _syntax(dataset)
    if not syntax.is_encapsulated:
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    width, height = int(dataset.Columns), int(dataset.Rows)
    codestream.check(frame, syntax, width, height)
    if syntax == RLELossless:
        codestream.check_runs(
            frame, width * height * dataset.SamplesPerPixel * -(-dataset.BitsAllocated // 8)
        )
        return
    if codestream.is_lossy_jpeg(frame):
        syntax = dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit  # also where it is stated as lossless
    if _DECODERS.get(syntax) in ("pillow", "pylibjpeg"):
        dataset.PlanarConfiguration = 0  # they give colours pixel by pixel, whatever the header says
    if syntax == JPEGBaseline8Bit:
        jpeg.strict(frame, "GRAY" if jpeg_header.frame_header(frame).components == 1 else "RGB")
        # Pillow stumbles over bad colour profiles, too.
        plain = jpeg.compact(frame)
        if len(plain) < len(frame):
            dataset.PixelData = encapsulate([plain + b"\x00" * (len(plain) % 2)])


def _state_syntax(dataset: Dataset) -> None:
    """State the transfer syntax where the file does not."""
    meta = dataset.file_meta if hasattr(dataset, "file_meta") else FileMetaDataset()
    dataset.file_meta = meta
    if not meta.get("TransferSyntaxUID"):
        meta.TransferSyntaxUID = _found_syntax(dataset)


def _found_syntax(dataset: Dataset) -> UID:
    """The transfer syntax that pydicom found in a file that states none."""
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little is not False else ExplicitVRBigEndian


def _stored(dataset: Dataset, data: bytes) -> NDArray[Any]:
    syntax = _syntax(dataset)
    decoder = _DECODERS.get(syntax, "")
    if decoder == GDCM:
        return subprocess_decode.stored_values(data)
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    top = dataset.get("HighBit")
    is_coded = syntax.is_encapsulated and syntax != RLELossless  # then the stream tells its own depth
    if is_coded or not isinstance(top, int) or not bits <= top < allocated:
        return pixel_array(dataset, decoding_plugin=decoder)
    # The stored bits sit higher in their words (PS3.5, 8.1.1); pydicom masks those above and does not shift.
    dataset.BitsStored = top + 1
    values = pixel_array(dataset, decoding_plugin=decoder)
    shift = top + 1 - bits
    return values if _lies_low(values, bits, shift) else values >> shift


def _lies_low(values: NDArray[Any], bits: int, shift: int) -> bool:
    """Whether the values lie at the low end of their words although the header says otherwise."""
    above = values >> (bits - 1 if values.min() < 0 else bits)
    is_small = bool(np.isin((above.min(), above.max()), (0, -1)).all())  # nothing above but signs
    return is_small and bool(np.any(values & ((1 << shift) - 1)))


def _syntax(dataset: Dataset) -> UID:
    return UID(dataset.file_meta.TransferSyntaxUID)


def _shown(stored: NDArray[Any], dataset: Dataset) -> Shown:
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
    if stored.ndim == 3:
        if stored.shape[-1] != 3:
            raise UnreadableError(
                "unsupported_encoding",
                f"The DICOM file's picture has {stored.shape[-1]} channels; export it as grey or RGB.",
            )
        return Shown(*grey.from_rgb(stored if stored.dtype == np.uint8 else grey.from_deep(stored)))
    return voi.to_display(stored, dataset)


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Millimetres per pixel (row, column), from the first of `SPACINGS` that holds two."""
    for keyword in SPACINGS:
        value = dataset.get(keyword)
        if value is not None and len(value) == 2 and all(0 < float(one) < math.inf for one in value):
            return float(value[0]), float(value[1])
    return None


def _tall(dataset: Dataset, spacing: tuple[float, float] | None) -> float | None:
    """Height of a pixel by its width; the ratio of PixelAspectRatio stands for a spacing (PS3.3 C.7.6.3)."""
    ratio = spacing or dataset.get("PixelAspectRatio")
    if ratio is None or len(ratio) != 2 or float(ratio[0]) <= 0 or float(ratio[1]) <= 0:
        return None
    return float(ratio[0]) / float(ratio[1])


def _truncated() -> UnreadableError:
    return UnreadableError(
        "truncated", "The DICOM file ends before its picture does; send it again from its source."
    )
