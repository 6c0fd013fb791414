"""From a file as sent to the bytes that are stored: sniffed, checked by its header, de-identified, hashed."""

from __future__ import annotations

import hashlib
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import IO

from django.conf import settings

from xrayportal.clinics.models import Clinic
from xrayportal.intake import sniff
from xrayportal.intake.deidentify import deidentify
from xrayportal.intake.pictures import jpeg, png, tiff
from xrayportal.intake.rejection import too_large

#: Cleaning a file takes up to five times its size and half a second. Large ones take turns in a process;
#: small ones do not wait for them.
_LARGE_BYTES = 8 * 2**20
_large = threading.Lock()

_STRIP = {"image/png": png.strip, "image/jpeg": jpeg.strip, "image/tiff": tiff.strip}


@dataclass(frozen=True)
class Prepared:
    """A file ready to be stored. The last three are empty except for DICOM."""

    content: bytes
    media_type: str
    sha256: str
    study_key: str = ""
    patient_reference: str = ""
    view_position: str = ""

    def name(self, clinic: Clinic) -> str:
        """The storage name: of the clinic and the content, never of what the sender called it."""
        return f"clinics/{clinic.pk}/originals/{self.sha256[:2]}/{self.sha256}"


def prepare(file: IO[bytes], size: int, clinic: Clinic) -> Prepared:
    """Read and clean one file of ``size`` bytes. Raises ``RejectedError``; decodes no pixel."""
    if size > settings.UPLOAD_MAX_BYTES:
        raise too_large()
    turn: AbstractContextManager[object] = _large if size > _LARGE_BYTES else nullcontext()
    with turn:
        return _cleaned(file, clinic)


def _cleaned(file: IO[bytes], clinic: Clinic) -> Prepared:
    file.seek(0)
    head = file.read(sniff.HEAD_BYTES)
    media_type = sniff.media_type(head)
    data = head + file.read()
    if media_type == sniff.DICOM:
        cleaned = deidentify(data, bytes(clinic.pseudonym_key))
        return Prepared(
            content=cleaned.content,
            media_type=media_type,
            sha256=_sha256(cleaned.content),
            study_key=cleaned.study_key,
            patient_reference=cleaned.patient_reference,
            view_position=cleaned.view_position,
        )
    content = _STRIP[media_type](data)
    return Prepared(content=content, media_type=media_type, sha256=_sha256(content))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
