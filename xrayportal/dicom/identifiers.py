"""The identifiers by which an archive files an answer: read from what was sent, kept encrypted, used once.

De-identification replaces them (docs/privacy.md). Without them a result would open a new study of a patient
whom the archive does not know.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from typing import Any

from django.utils import timezone
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from xrayportal.clinics.models import Clinic
from xrayportal.dicom.models import OriginalIdentifiers, ReturnSettings, StudyReturn
from xrayportal.encryption import decrypt, encrypt
from xrayportal.intake.deidentify.dicom import header_of
from xrayportal.intake.rejection import RejectedError
from xrayportal.studies.models import Image

logger = logging.getLogger(__name__)

_PURPOSE = "dicom-identifiers"
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
#: Of PS3.3: general study and patient, and the frame of reference that a marked region refers to.
KEYWORDS = (
    *_UIDS,
    *("SpecificCharacterSet", "FrameOfReferenceUID"),
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_TAGS = [tag for keyword in KEYWORDS if (tag := tag_for_keyword(keyword)) is not None]
#: As archives have them: some are no valid UIDs, for a zero too many, and are filed all the same.
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
#: All of them together, as JSON: hospitals' values are short, and nobody stores a book in here.
_MOST_BYTES = 8192


def return_settings(clinic: Clinic) -> ReturnSettings:
    """The clinic's settings; those of a clinic that never chose any send nothing."""
    settings = ReturnSettings.objects.filter(clinic=clinic).first() or ReturnSettings()
    settings.clinic = clinic
    return settings


def identifiers_in(data: bytes) -> bytes:
    """The identifiers of a DICOM file as JSON; empty where it lacks one that an answer needs.

    Never raises for a damaged file: the intake refuses that by itself, with a sentence.
    """
    try:
        header = header_of(data, _TAGS)
    except RejectedError:
        return b""
    kept = Dataset()
    for tag in _TAGS:
        element = header.get(tag)
        if element is not None and not element.is_empty and element.VR != "SQ":
            kept.add(element)
    if not all(_UID.fullmatch(str(kept.get(keyword) or "")) for keyword in _UIDS):
        return b""
    try:
        text = json.dumps(kept.to_json_dict(), separators=(",", ":"), allow_nan=False).encode()
    # A value that its type does not allow, in a way that only pydicom's own conversion finds.
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        logger.info("Identifiers could not be kept: %s", type(error).__name__)
        return b""
    return text if len(text) <= _MOST_BYTES else b""


def keep(image: Image, identifiers: bytes, settings: ReturnSettings) -> None:
    """Store the identifiers of an image, in the transaction that stores the image; newer replace older."""
    if not identifiers or settings.when == ReturnSettings.When.NEVER:
        return
    clinic, expires_at = settings.clinic, timezone.now() + timedelta(days=settings.keep_days)
    content = encrypt(identifiers, key=clinic.pseudonym_key, purpose=_PURPOSE, row=str(image.pk))
    OriginalIdentifiers.objects.bulk_create(
        [OriginalIdentifiers(image=image, clinic=clinic, content=content, expires_at=expires_at)],
        update_conflicts=True,
        unique_fields=["image"],
        update_fields=["content", "expires_at"],
    )
    StudyReturn.objects.bulk_create(
        [StudyReturn(study_id=image.study_id, clinic=clinic, expires_at=expires_at)],
        update_conflicts=True,
        unique_fields=["study"],
        update_fields=["expires_at"],
    )


def identifiers_of(image: Image) -> Dataset | None:
    """The identifiers of an image, for an answer to its sender; None where they are not, or no longer, kept.

    Raises `DecryptionError` where the portal's ``SECRET_KEY`` changed meanwhile.
    """
    row = OriginalIdentifiers.objects.filter(image=image, expires_at__gt=timezone.now()).first()
    if row is None:
        return None
    plain = decrypt(row.content, key=image.clinic.pseudonym_key, purpose=_PURPOSE, row=str(image.pk))
    parsed: dict[str, Any] = json.loads(plain)
    return Dataset.from_json(parsed)


def erase(clinic: Clinic) -> int:
    """Erase all identifiers of a clinic that no longer sends results back; returns of how many images."""
    count, _rows = OriginalIdentifiers.objects.filter(clinic=clinic).delete()
    StudyReturn.objects.filter(clinic=clinic).delete()
    return count


def erase_expired() -> int:
    """Erase what was kept long enough; returns of how many images."""
    now = timezone.now()
    count, _rows = OriginalIdentifiers.objects.filter(expires_at__lte=now).delete()
    StudyReturn.objects.filter(expires_at__lte=now).delete()
    return count
