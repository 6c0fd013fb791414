"""Turns a file as sent into the bytes that are stored: checks its header, de-identifies and hashes it."""

from __future__ import annotations

import hashlib
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import IO

from django.conf import settings
from pydicom.uid import DeflatedExplicitVRLittleEndian

from inference_worker.sniff import HEAD_BYTES
from xrayportal.clinics.models import Clinic
from xrayportal.intake.deidentify import jpeg, png, tiff
from xrayportal.intake.deidentify.dicom import deidentify
from xrayportal.intake.media_types import DICOM, media_type_of
from xrayportal.intake.rejection import too_large

#: Cleaning a file takes up to five times its size and half a second. Large ones take turns in a process;
#: small ones do not wait for them.
_LARGE_BYTES = 8 * 2**20
_large = threading.Lock()

_STRIP = {"image/png": png.strip, "image/jpeg": jpeg.strip, "image/tiff": tiff.strip}


@dataclass(frozen=True)
class Prepared:
    """A file ready to be stored. The last four values are empty except for DICOM.

    ``notes`` are those of `Image`.
    """

    content: bytes
    media_type: str
    sha256: str
    study_key: str = ""
    patient_reference: str = ""
    view_position: str = ""
    notes: tuple[str, ...] = ()

    def name(self, clinic: Clinic) -> str:
        """The storage name, from clinic and content alone, never from the sender's name of the file."""
        return f"clinics/{clinic.pk}/originals/{self.sha256[:2]}/{self.sha256}"


def prepare(file: IO[bytes], size: int, clinic: Clinic) -> Prepared:
    """Load and de-identify one file of ``size`` bytes. Raises ``RejectedError``; decodes no pixel."""
    if size > settings.UPLOAD_MAX_BYTES:
        raise too_large()
    file.seek(0)
    # The transfer syntax stands within the first elements. Deflated, a small file may become a large one.
    is_large = size > _LARGE_BYTES or DeflatedExplicitVRLittleEndian.encode() in file.read(HEAD_BYTES)
    turn: AbstractContextManager[object] = _large if is_large else nullcontext()
    with turn:
        return _cleaned(file, clinic)


def _cleaned(file: IO[bytes], clinic: Clinic) -> Prepared:
    file.seek(0)
    media_type = media_type_of(file.read(HEAD_BYTES))
    file.seek(0)  # all at once: what lies in memory already is not copied
    data = file.read()
    if media_type == DICOM:
        cleaned = deidentify(data, bytes(clinic.pseudonym_key))
        return Prepared(
            content=cleaned.content,
            media_type=media_type,
            sha256=_sha256(cleaned.content),
            study_key=cleaned.study_key,
            patient_reference=cleaned.patient_reference,
            view_position=cleaned.view_position,
            notes=cleaned.notes,
        )
    content = _STRIP[media_type](data)
    return Prepared(content=content, media_type=media_type, sha256=_sha256(content))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
