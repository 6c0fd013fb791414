"""DICOM without the person: the attributes of an allow list are copied into a new file, pixels unchanged.

Other attributes are not stored: names, dates, institutions, descriptions, private tags, overlays, curves,
icons. UIDs become keyed pseudonyms, so that a clinic's views still group and nobody can trace them back. A
name that is burned into the pixels stays (docs/privacy.md).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import threading
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from inference_worker import codestream, dicom_deflated
from inference_worker.dicom_attributes import CODES, DECODERS, LUT_ATTRIBUTES, LUT_SEQUENCES, NUMBERS, PIXELS
from inference_worker.dicom_layout import complete, is_decoded
from inference_worker.dicom_numbers import mend
from inference_worker.jpeg_header import frame_header
from inference_worker.projections import COMPUTED_RADIOGRAPHY, other_than_projection
from inference_worker.sniff import has_preamble
from inference_worker.types import UnreadableError
from xrayportal.intake.deidentify import allow_list
from xrayportal.intake.deidentify.header_limits import BoundedStream, blank_oversized, refuse_oversized
from xrayportal.intake.rejection import (
    RejectedError,
    check_dimensions,
    corrupt,
    general,
    too_large,
    truncated,
)

# pydicom quotes header values in what it logs and warns of; those are patients' data.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
config.settings.reading_validation_mode = config.IGNORE
config.settings.writing_validation_mode = config.IGNORE
#: ``warnings.catch_warnings`` is not for several threads at once.
_pydicom_lock = threading.Lock()

#: Ours: the same file must give the same bytes whichever version of a library writes it.
_IMPLEMENTATION = UID("2.25.221877410935146217392466913870112375301")


@dataclass(frozen=True)
class Cleaned:
    """A file without the person: the bytes to store, and what is kept beside them."""

    content: bytes
    #: Equal for views of one study of one patient, and for them only; empty if the file names no study.
    study_key: str
    #: A pseudonym of the patient's id, e.g. ``P-K3JQ7Z2MXA``; empty without one.
    patient_reference: str
    view_position: str
    #: What was left out because it could not be used, as codes of `inference_worker.notes`.
    notes: tuple[str, ...] = ()


def deidentify(data: bytes, key: bytes) -> Cleaned:
    """Write the file anew with the allow list's attributes only. The same input gives the same bytes.

    ``key`` is the clinic's, for the pseudonyms. Raises ``RejectedError`` for a file that is not one
    projection radiograph with all its pixels.
    """
    source, notes = _load(data)
    _refuse_unsuitable(source)
    cleaned = Dataset()
    for keyword in (*NUMBERS, *CODES):
        _copy(source, cleaned, keyword)
    for keyword in LUT_SEQUENCES:
        luts = [_lut(item) for item in source.get(keyword) or []]
        if luts:
            setattr(cleaned, keyword, luts)
    patient = str(source.get("PatientID") or "").strip()
    reference = _patient_reference(key, patient) if patient else ""
    study = str(source.get("StudyInstanceUID") or "").strip()
    cleaned.PatientName = cleaned.PatientBirthDate = cleaned.PatientSex = ""
    cleaned.PatientID = reference
    cleaned.PatientIdentityRemoved = "YES"
    cleaned.DeidentificationMethod = "Allow list of attributes, keyed pseudonyms"
    cleaned.SOPClassUID = str(source.get("SOPClassUID") or COMPUTED_RADIOGRAPHY)
    cleaned.SOPInstanceUID = _uid(key, source.get("SOPInstanceUID") or f"pixels {_digest(source)}")
    cleaned.StudyInstanceUID = _uid(key, study or f"study of pixels {_digest(source)}")
    cleaned.SeriesInstanceUID = _uid(
        key, source.get("SeriesInstanceUID") or f"series of pixels {_digest(source)}"
    )
    cleaned.add(_without_tail(source))
    return Cleaned(
        content=_written(cleaned, _encoding(source)),
        study_key=_keyed(key, f"study\x00{study}\x00{patient}").hex() if study else "",
        patient_reference=reference,
        view_position=_one_code(cleaned, "ViewPosition"),
        notes=notes,
    )


def header_of(data: bytes, tags: list[int]) -> Dataset:
    """These elements of a DICOM file, every value converted. Raises ``RejectedError`` for a damaged file."""
    with _pydicom_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = dcmread(
                BoundedStream(_inflated(data)), force=True, stop_before_pixels=True, specific_tags=[*tags]
            )
            refuse_oversized(header, short=frozenset(tags), luts=frozenset())
            for element in header.iterall():
                del element
        except (RejectedError, MemoryError):
            raise
        except Exception as error:  # as in `_load`
            raise corrupt() from error
    return header


def _load(data: bytes) -> tuple[Dataset, tuple[str, ...]]:
    """The data set with mended numbers, and the notes on what had to be left out."""
    stream = BoundedStream(b"")
    with _pydicom_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            stream = BoundedStream(_inflated(data))
            source = dcmread(stream, force=not has_preamble(data), specific_tags=allow_list.LOADED_TAGS)
            blank_oversized(source, allow_list.SHORT_TAGS)
            refuse_oversized(source, short=frozenset(), luts=allow_list.LUT_TAGS)
            complete(source)
            notes = mend(source)
            for element in source.iterall():  # converts every value now, while errors are expected
                del element
            allow_list.drop_mistyped(source)
        except (RejectedError, MemoryError):
            raise
        except UnreadableError as error:
            raise _rejection(error, b"") from error
        # pydicom has no exception of its own for damaged files: it raises what they made Python raise.
        except Exception as error:
            raise (truncated() if stream.ends_early else corrupt()) from error
    if _pixels(source) is None and stream.ends_early:
        raise truncated()
    return source, notes


def _inflated(data: bytes) -> bytes:
    """The file with a deflated data set unpacked, no further than a file may be large."""
    return dicom_deflated.inflated(data, settings.UPLOAD_MAX_BYTES)


def _refuse_unsuitable(source: Dataset) -> None:
    try:
        other = other_than_projection(
            sop_class=str(source.get("SOPClassUID") or ""),
            modality=str(source.get("Modality") or ""),
            is_index="DirectoryRecordSequence" in source,
        )
        if other:
            raise RejectedError(
                "not-a-projection",
                _("it is %(what)s, not a projection radiograph") % {"what": other},
                general("not-a-projection").advice,
            )
        if _pixels(source) is None:
            raise general("no-pixels")
        frames = int(source.get("NumberOfFrames") or 1)
        if frames > 1:
            raise RejectedError(
                "multi-frame",
                _("it holds %(frames)d frames") % {"frames": frames},
                general("multi-frame").advice,
            )
        rows, columns = int(source.Rows), int(source.Columns)
        check_dimensions(columns, rows)
        if source.BitsAllocated and not is_decoded(source):
            raise RejectedError(
                "unsupported-encoding",
                _("its samples are of a rare kind that cannot be decoded here"),
                _("Export it again as grey or RGB."),
            )
        _refuse_missing_pixels(source, rows, columns)
    # An element is missing, or holds several numbers, or one that counts no pixels.
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise corrupt() from error


def _refuse_missing_pixels(source: Dataset, rows: int, columns: int) -> None:
    element, syntax = _required_pixels(source), _encoding(source)
    needed = _picture_bytes(source)  # a compressed picture must have the same elements
    if element.is_undefined_length:
        if syntax not in DECODERS:
            raise general("unsupported-encoding")
        frame = _first_frame(element.value)
        try:
            codestream.check(frame, syntax, columns, rows)
            if syntax == RLELossless:
                codestream.check_runs(frame, needed)
        except UnreadableError as error:
            raise _rejection(error, frame) from error
        return
    if syntax in DECODERS:
        raise corrupt()
    if len(element.value) < needed:
        raise truncated()


def _pixels(source: Dataset) -> DataElement | None:
    """The picture, of whole numbers or real ones; None where there is none or it is empty."""
    elements = (_element(source, keyword) for keyword in PIXELS)
    return next((element for element in elements if element is not None and element.value), None)


def _required_pixels(source: Dataset) -> DataElement:
    element = _pixels(source)
    if element is None:
        raise general("no-pixels")
    return element


def _first_frame(pixels: bytes) -> bytes:
    try:
        return get_frame(pixels, 0, number_of_frames=1)
    except MemoryError:
        raise
    except Exception as error:  # as in `_load`
        raise corrupt() from error


def _rejection(error: UnreadableError, frame: bytes) -> RejectedError:
    """The same refusal as the decoder's, in the words of the intake."""
    if error.kind == "unsupported_encoding":
        return RejectedError(
            "unsupported-encoding",
            _("it holds %(bits)d-bit lossy JPEG (JPEG Extended), which cannot be decoded here")
            % {"bits": frame_header(frame).precision},
            _("Export it uncompressed or as JPEG 2000."),
        )
    return {"truncated": truncated, "too_large": too_large}.get(error.kind, corrupt)()


def _picture_bytes(source: Dataset) -> int:
    """Bytes of an uncompressed picture, from its header; Rows and Columns exist."""
    bits = int(source.Rows) * int(source.Columns) * int(source.SamplesPerPixel) * int(source.BitsAllocated)
    if source.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    return -(-bits // 8)


def _without_tail(source: Dataset) -> DataElement:
    """The pixels, without what follows an uncompressed picture, which could be anything."""
    element = _required_pixels(source)
    length = _picture_bytes(source)
    length += length % 2  # a value has an even length
    # Subsampled colour is now and then sent whole, under the name of the shorter kind.
    is_certain = source.get("PhotometricInterpretation") != "YBR_FULL_422"
    if is_certain and not element.is_undefined_length and len(element.value) > length:
        return DataElement(element.tag, element.VR, element.value[:length])
    return element


def _copy(source: Dataset, cleaned: Dataset, keyword: str) -> None:
    element = _element(source, keyword)
    if element is None or element.is_empty:
        return
    if keyword not in CODES or allow_list.is_code(element.value):
        cleaned.add(element)


def _one_code(cleaned: Dataset, keyword: str) -> str:
    """The code; empty where the file has none or several."""
    value = cleaned.get(keyword)
    return value if isinstance(value, str) else ""


def _lut(item: Dataset) -> Dataset:
    lut = Dataset()
    for keyword in LUT_ATTRIBUTES:
        element = _element(item, keyword)
        if element is not None and (keyword != "ModalityLUTType" or allow_list.is_code(element.value)):
            lut.add(element)
    return lut


def _element(dataset: Dataset, keyword: str) -> DataElement | None:
    return dataset.get(Tag(keyword))


def _encoding(source: Dataset) -> UID:
    """The transfer syntax: the file's own, or pydicom's guess for a file without a meta group."""
    stated: Any = source.file_meta.get("TransferSyntaxUID") if hasattr(source, "file_meta") else None
    if stated:
        return UID(stated)
    is_implicit, is_little = source.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def _written(cleaned: Dataset, syntax: UID) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = cleaned.SOPClassUID
    meta.MediaStorageSOPInstanceUID = cleaned.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "XRAYPORTAL"
    cleaned.file_meta = meta
    out = BytesIO()
    with _pydicom_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cleaned.save_as(out, enforce_file_format=True)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file: pydicom parsed a value that it cannot write
            raise corrupt() from error
    return out.getvalue()


def _digest(source: Dataset) -> str:
    return hashlib.sha256(_required_pixels(source).value).hexdigest()


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.digest(bytes(key), text.encode("utf-8", "surrogateescape"), "sha256")


def _uid(key: bytes, original: object) -> str:
    """A pseudonym in the UUID-derived root (PS3.5, B.2), at most 44 characters."""
    return f"2.25.{int.from_bytes(_keyed(key, f'uid{chr(0)}{original}')[:16], 'big')}"


def _patient_reference(key: bytes, patient: str) -> str:
    return "P-" + base64.b32encode(_keyed(key, f"patient\x00{patient}"))[:10].decode()
