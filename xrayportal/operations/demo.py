"""The demo: two clinics, a user for each role, and sample radiographs. Doing it again changes nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.clinics.services import add_member, create_clinic
from xrayportal.intake.ingest import IncomingFile, ingest_file
from xrayportal.intake.services import create_submission, finish_submission
from xrayportal.studies.models import Queue, Study, Submission

CLINICS = {"north": "North Clinic", "south": "South Clinic"}
SUPERUSER = "superuser@portal.example"
LOGINS = "demo-logins.txt"
LABEL = "demo"
#: The package that pydicom-data (MIT) installs, and two of its files: a bone lesion of the distal tibia,
#: and a chest, which is out of distribution.
PACKAGE = "data_store"
PACKAGED = ("RG3_UNCR.dcm", "RG1_UNCR.dcm")
PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"}


@dataclass(frozen=True)
class Login:
    """A demo user. ``role`` is empty for the platform's superuser."""

    email: str
    clinic: str
    role: str


def logins() -> list[Login]:
    """The users of the demo."""
    people = [
        Login(email=f"{role}@{slug}.example", clinic=slug, role=role)
        for slug in CLINICS
        for role in Role.values
    ]
    return [*people, Login(email=SUPERUSER, clinic="", role="")]


def create_people(var: Path) -> None:
    """Create the clinics and users; passwords are made once and kept in ``var/demo-logins.txt`` (0600)."""
    passwords = _remembered(var / LOGINS)
    for slug, name in CLINICS.items():
        if not Clinic.objects.filter(slug=slug).exists():
            create_clinic(name=name, slug=slug, time_zone="UTC", blind_first=False, actor=Actor(name=LABEL))
    for login in logins():
        passwords.setdefault(login.email, secrets.token_urlsafe(9))
    _remember(var / LOGINS, passwords)
    for login in logins():
        _create(login, passwords[login.email])


def submit_samples(folder: Path | None, *, limit: int) -> int:
    """Send the packaged samples, and pictures of ``folder``, as the north clinic's uploader.

    At most ``limit`` pictures of the folder are sent, spread evenly over it; 0 sends all. Files that an
    earlier start has sent are not sent again. Returns how many were sent.
    """
    files = [(path.name, path) for path in packaged_samples()]
    if folder is not None:
        files += [(str(path.relative_to(folder)), path) for path in _spread(_pictures(folder), limit)]
    clinic = Clinic.objects.get(slug="north")
    uploader = User.objects.get(email="uploader@north.example")
    earlier = Submission.objects.filter(submitter=uploader, source=Submission.Source.COMMAND)
    sent = set(earlier.values_list("uploads__key", flat=True))
    new = [(key, path) for name, path in files if (key := _key(name, path)) not in sent]
    if not new:
        return 0
    submission = create_submission(
        clinic=clinic,
        actor=Actor(uploader),
        source=Submission.Source.COMMAND,
        queue=Queue.INTERACTIVE,
        expected_files=len(new),
    )
    for key, path in new:
        with path.open("rb") as file:
            ingest_file(IncomingFile(submission, key, path.name, Actor(uploader)), file)
    finish_submission(submission=submission, actor=Actor(uploader))
    return len(new)


def _create(login: Login, password: str) -> None:
    with transaction.atomic():
        user = User.objects.filter(email=login.email).first()
        if user is None:
            make = User.objects.create_user if login.role else User.objects.create_superuser
            user = make(login.email, password)
        if login.role:
            clinic = Clinic.objects.get(slug=login.clinic)
            add_member(clinic=clinic, user=user, role=login.role, actor=Actor(name=LABEL))


def _remembered(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = [line.split() for line in path.read_text().splitlines()]
    return {words[0]: words[1] for words in lines if len(words) >= 2 and "@" in words[0]}


def _remember(path: Path, passwords: dict[str, str]) -> None:
    lines = ["Demo logins:"]
    for login in logins():
        what = f"{login.role}, {CLINICS[login.clinic]}" if login.role else "superuser, /admin/"
        lines.append(f"  {login.email:<26} {passwords[login.email]:<14} {what}")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


def submit_sample(*, clinic: Clinic, actor: Actor) -> Study | None:
    """Send the first packaged sample, the X-ray of a lower leg; the study, None where it cannot be stored."""
    samples = packaged_samples()
    if not samples:
        return None
    submission = create_submission(clinic=clinic, actor=actor, queue=Queue.INTERACTIVE, expected_files=1)
    with samples[0].open("rb") as file:
        upload = ingest_file(
            IncomingFile(submission, _key(samples[0].name, samples[0]), "sample.dcm", actor), file
        )
    finish_submission(submission=submission, actor=actor)
    return upload.image.study if upload.image else None


def packaged_samples() -> list[Path]:
    """The sample files of the package; none where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return []
    by_name = {path.name: path for path in Path(spec.origin).parent.rglob("RG*.dcm")}
    return [by_name[name] for name in PACKAGED]


def _pictures(folder: Path) -> list[Path]:
    walked = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return sorted(path for path in walked if path.suffix.lower() in PICTURES and path.is_file())


def _spread(paths: list[Path], limit: int) -> Iterable[Path]:
    if not limit or len(paths) <= limit:
        return paths
    return [paths[index * len(paths) // limit] for index in range(limit)]


def _key(name: str, path: Path) -> str:
    """The key of the upload: of name and size, so that the next start need not read the file."""
    return hashlib.sha256(f"{name} {path.stat().st_size}".encode()).hexdigest()
