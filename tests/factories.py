"""Rows and files for tests: every function makes one valid thing and takes what matters to the test.

Pictures that are drawn here are for edge cases and plumbing only; nothing is measured on them.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image as Picture
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from xrayportal.analyses.models import Analysis, Bundle, Finding
from xrayportal.clinics.models import Clinic, Membership, Role, User
from xrayportal.studies.models import Image, Study, Submission, Upload

PASSWORD = "correct horse battery staple"
PARTS = [
    "hand",
    "wrist",
    "forearm",
    "elbow",
    "humerus",
    "shoulder",
    "hip",
    "femur",
    "knee",
    "tibia",
    "ankle",
    "foot",
]
_numbers = itertools.count(1)


def make_clinic(**fields: Any) -> Clinic:
    """A clinic with a slug of its own."""
    number = next(_numbers)
    return Clinic.objects.create(**{"slug": f"clinic-{number}", "name": f"Clinic {number}", **fields})


def make_user(clinic: Clinic | None = None, *roles: str, **fields: Any) -> User:
    """A person with these roles in the clinic; the password is ``PASSWORD``."""
    fields.setdefault("email", f"person-{next(_numbers)}@example.org")
    user = User.objects.create_user(password=PASSWORD, **fields)
    for role in roles:
        Membership.objects.create(clinic=clinic, user=user, role=role)
    return user


def make_superuser(**fields: Any) -> User:
    """A platform superuser without any membership."""
    fields.setdefault("email", f"super-{next(_numbers)}@example.org")
    return User.objects.create_superuser(password=PASSWORD, **fields)


def make_submission(clinic: Clinic, submitter: User | None = None, **fields: Any) -> Submission:
    """An open submission, by an uploader of the clinic unless told otherwise."""
    submitter = submitter or make_user(clinic, Role.UPLOADER)
    return Submission.objects.create(clinic=clinic, submitter=submitter, **{"expected_files": 1, **fields})


def make_study(
    clinic: Clinic | None = None,
    submission: Submission | None = None,
    *,
    views: int = 1,
    content: bytes | None = None,
    **fields: Any,
) -> Study:
    """A sealed study with its images, their files in the storage and the uploads they came by."""
    clinic = clinic or (submission.clinic if submission else make_clinic())
    submission = submission or make_submission(clinic)
    fields.setdefault("grouping_key", hashlib.sha256(str(next(_numbers)).encode()).hexdigest())
    fields.setdefault("state", Study.State.SEALED)
    if fields["state"] == Study.State.SEALED:
        fields.setdefault("sealed_at", timezone.now())
    study = Study.objects.create(clinic=clinic, submission=submission, **fields)
    for _ in range(views):
        make_image(study, content=content)
    return study


def make_image(study: Study, content: bytes | None = None, **fields: Any) -> Image:
    """One more view of the study, with its stored file and its upload."""
    content = content if content is not None else png(shade=next(_numbers) % 256, text=str(next(_numbers)))
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"clinics/{study.clinic_id}/originals/{sha256[:2]}/{sha256}"
    default_storage.save(name, ContentFile(content))
    image = Image.objects.create(
        clinic=study.clinic,
        study=study,
        sha256=sha256,
        file=name,
        size=len(content),
        **{"media_type": "image/png", **fields},
    )
    Upload.objects.create(
        submission=study.submission,
        key=f"key-{next(_numbers)}",
        filename=f"view_{next(_numbers)}.png",
        size=len(content),
        outcome=Upload.Outcome.ACCEPTED,
        image=image,
    )
    return image


def make_bundle(**fields: Any) -> Bundle:
    """The active bundle's row (the existing one if there is one), with a manifest as docs/bundle.md says."""
    active = Bundle.objects.active().first()
    if active is not None and not fields:
        return active
    number = next(_numbers)
    manifest = {
        "schema": 1,
        "name": f"test-{number}",
        "version": "1",
        "released": "2026-11-22",
        "target": {
            "code": "fracture",
            "normal": "No fracture seen",
            "abnormal": "Fracture suspected",
            "uncertain": "Uncertain",
            "unsupported": "Unsupported",
        },
        "input": {"size": 320, "contrast_percentiles": [0.5, 99.5]},
        "body_parts": PARTS,
        "map": {"height": 20, "width": 20, "scale": 4.0},
        "thresholds": {"low": 0.2, "high": 0.7, "limits": {"low": [0.05, 0.4], "high": [0.5, 0.95]}},
        "prevalence": 0.18,
        "aggregate": "mean",
        "trust": {"weak_below": 0.4},
        "metrics": {},
    }
    defaults = {
        "name": f"test-{number}@1",
        "folder": f"test-{number}",
        "manifest": manifest,
        "manifest_sha256": "0" * 64,
        "is_active": active is None,
        "activated_at": timezone.now() if active is None else None,
    }
    return Bundle.objects.create(**{**defaults, **fields})


def make_analysis(study: Study, state: str = Analysis.State.SUCCEEDED, **fields: Any) -> Analysis:
    """An analysis in any state; a succeeded one has findings with files and is the study's current one."""
    now = timezone.now()
    defaults: dict[str, Any] = {
        "clinic": study.clinic,
        "study": study,
        "bundle": fields.pop("bundle", None) or make_bundle(),
        "threshold_low": 0.2,
        "threshold_high": 0.7,
        "not_before": now,
        "state": state,
    }
    if state != Analysis.State.QUEUED:
        defaults |= {"attempt": 1, "started_at": now, "worker": "test-worker"}
    if state == Analysis.State.RUNNING:
        defaults["leased_until"] = now + timedelta(seconds=60)
    if state not in Analysis.UNFINISHED:
        defaults["finished_at"] = now
    if state == Analysis.State.FAILED:
        defaults |= {
            "error_kind": "truncated",
            "error_sentence": "Could not read the file: it ends too early.",
        }
    if state == Analysis.State.SUCCEEDED:
        defaults |= {
            "verdict": "abnormal",
            "body_part": "wrist",
            "body_parts": {"wrist": 0.9, "hand": 0.1},
            "probability": 0.87,
            "views": study.images.count(),
            "runtime": "openvino",
            "precision": "f32",
            "software": "0.1.0",
            "milliseconds": {"decode": 3.0, "preprocess": 1.0, "infer": 8.0, "render": 4.0},
        }
    analysis = Analysis.objects.create(**{**defaults, **fields})
    if analysis.state == Analysis.State.SUCCEEDED:
        for image in study.images.all():
            make_finding(analysis, image)
        if analysis.purpose == Analysis.Purpose.PRIMARY:
            study.current = analysis
            study.save(update_fields=["current"])
    return analysis


def make_finding(analysis: Analysis, image: Image, **fields: Any) -> Finding:
    """A finding whose four files are in the storage."""
    stem = f"clinics/{analysis.clinic_id}/findings/{analysis.pk}/{image.pk}"
    files = {
        "display_file": (f"{stem}-display.jpg", jpeg()),
        "thumbnail_file": (f"{stem}-thumbnail.jpg", jpeg(size=(8, 8))),
        "overlay_file": (f"{stem}-overlay.png", png()),
        "map_file": (f"{stem}-map.json", b'{"height":1,"width":1,"scale":4.0,"values":[1.5]}'),
    }
    for name, content in files.values():
        default_storage.save(name, ContentFile(content))
    defaults = {
        "verdict": analysis.verdict,
        "reason": analysis.reason,
        "leaning": analysis.leaning,
        "body_parts": analysis.body_parts,
        "probability": analysis.probability,
        "peak_x": 8,
        "peak_y": 12,
        "trust": 0.8,
        "ood_distance": 1.0,
        "width": 24,
        "height": 32,
        **{field: name for field, (name, _) in files.items()},
    }
    if analysis.verdict == "unsupported" or analysis.reason:
        defaults |= {"peak_x": None, "peak_y": None, "trust": None, "overlay_file": "", "map_file": ""}
    return Finding.objects.create(analysis=analysis, image=image, **{**defaults, **fields})


def png(size: tuple[int, int] = (24, 32), shade: int = 128, text: str = "", mode: str = "L") -> bytes:
    """A small PNG; another ``shade`` or a trailing ``text`` pixel pattern makes other content."""
    picture = Picture.new(mode, size, shade if mode == "L" else (shade, 80, 40))
    for index, letter in enumerate(text[: size[0]]):
        picture.putpixel((index, 0), ord(letter) % 256 if mode == "L" else (ord(letter) % 256, 0, 0))
    return _encoded(picture, "PNG")


def jpeg(size: tuple[int, int] = (24, 32), shade: int = 128, **options: Any) -> bytes:
    """A small grey JPEG; options go to the encoder (``exif``, ``comment``, ``progressive``)."""
    return _encoded(Picture.new("L", size, shade), "JPEG", **options)


def tiff(size: tuple[int, int] = (24, 32), shade: int = 128, **options: Any) -> bytes:
    """A small uncompressed TIFF; options go to the encoder."""
    return _encoded(Picture.new("L", size, shade), "TIFF", **options)


def dicom(
    *,
    rows: int = 32,
    columns: int = 24,
    shade: int = 1000,
    study_uid: str = "",
    patient_id: str = "PID-4711",
    preamble: bool = True,
    pixels: bytes | None = None,
    without: tuple[str, ...] = (),
    **attributes: Any,
) -> bytes:
    """A small CR with a name, a birthday, dates, private tags and an overlay, all of which must go.

    ``attributes`` set or replace elements by keyword, ``without`` removes them.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = attributes.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1")
    meta.MediaStorageSOPInstanceUID = attributes.get("SOPInstanceUID", generate_uid())
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = "DOEWARD"
    dataset = Dataset()
    dataset.file_meta = meta
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": study_uid or generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "StudyDate": "20240229",
        "AccessionNumber": "ACC-90210",
        "Modality": "CR",
        "InstitutionName": "St. Elsewhere Hospital",
        "ReferringPhysicianName": "Quacksalber^Otto",
        "StudyDescription": "Handgelenk von Erika Mustermann",
        "PatientName": "Mustermann^Erika",
        "PatientID": patient_id,
        "PatientBirthDate": "19640812",
        "PatientAddress": "Heidestrasse 17, Koeln",
        "BodyPartExamined": "WRIST",
        "ViewPosition": "PA",
        "ImageLaterality": "L",
        "DeviceSerialNumber": "SN-31337",
        "ImagerPixelSpacing": [0.15, 0.15],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "WindowCenter": 2048,
        "WindowWidth": 4096,
        "WindowCenterWidthExplanation": "for Mustermann",
        **attributes,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    private = dataset.private_block(0x0011, "DOE PRIVATE", create=True)
    private.add_new(0x01, "LO", "Mustermann private note")
    dataset.add_new(0x60003000, "OW", b"Mustermann over")
    dataset.PixelData = shade.to_bytes(2, "little") * (rows * columns) if pixels is None else pixels
    for keyword in without:
        delattr(dataset, keyword)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue() if preamble else out.getvalue()[132:]


def _encoded(picture: Picture.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
