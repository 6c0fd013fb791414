"""A clinic with an active bundle, and a submission to send archives and folders to."""

from __future__ import annotations

import io
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable

import pytest

from tests.factories import make_bundle, make_clinic, make_submission, png
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.bulk.delivery import take
from xrayportal.intake.filenames import comparable_path
from xrayportal.intake.ingest import IncomingFile
from xrayportal.studies.models import Submission, Upload

Take = Callable[..., list[Upload]]


@pytest.fixture
def submission(db: None) -> Submission:
    """Open, in a clinic with an active bundle."""
    make_bundle()
    return make_submission(make_clinic())


@pytest.fixture
def deliver(submission: Submission) -> Take:
    """Send bytes under a relative path, as the page does."""

    opened = submission

    def send(path: str, content: bytes, key: str = "", submission: Submission = opened) -> list[Upload]:
        name = key or comparable_path(path)[-60:]
        delivery = IncomingFile(submission=submission, key=name, path=path, actor=PORTAL)
        return take(delivery, io.BytesIO(content))

    return send


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive of these files, by path."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return out.getvalue()


def foreign() -> bytes:
    """An archive as others write it: names in three encodings, damage, and a program in front of it."""
    raw = {
        "x-windows-windows-": "Müller Röntgen.png".encode("cp437"),
        "x-macos-x9": unicodedata.normalize("NFD", "Jürg.png").encode(),
        "x-info": b"H?.png",
    }
    extras = {
        "x-info": _unicode_path("Hände.png", b"H?.png"),
        "renamed.png": _unicode_path("before.png", b"before.png"),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for shade, name in enumerate([*raw, "renamed.png", "Füße.png", "sum.png"]):
            info = zipfile.ZipInfo(name)
            info.extra = extras.get(name, b"")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, png(shade=100 + shade))
        archive.writestr("stored.png", png(shade=200), zipfile.ZIP_STORED)
        archive.writestr("local.png", png(shade=201))
        archive.writestr("strong.png", png(shade=202))
        archive.writestr("patch.png", png(shade=203))
    content = bytearray(out.getvalue())
    for name, bytes_ in raw.items():
        content = content.replace(name.encode(), bytes_)
    content[content.rindex(b"sum.png") - 30] ^= 1  # of its entry in the directory: the checksum
    content[content.index(b"IDAT") + 6] ^= 0xFF  # of the stored member
    content[content.index(b"local.png")] = ord("L")  # in its own header only
    for member, flag in (("strong.png", 0x40), ("patch.png", 0x20)):
        content[content.rindex(member.encode()) - 38] |= flag  # of its entry in the directory
    content[-14:-10] = struct.pack("<HH", 3, 3)  # the number of entries, as if it had not fitted
    return b"MZ a program that unpacks itself" + bytes(content)


#: What becomes of its members: the kind of refusal by name, empty for what is taken.
FOREIGN = {
    "Müller Röntgen.png": "",
    "Jürg.png": "",
    "Hände.png": "",
    "renamed.png": "",
    "Füße.png": "",
    "sum.png": "member-damaged",
    "stored.png": "member-damaged",
    "local.png": "member-damaged",
    "strong.png": "member-encrypted",
    "patch.png": "member-method",
}


def _unicode_path(name: str, raw: bytes) -> bytes:
    """Info-ZIP's extra field for a name that was written as ``raw``."""
    content = struct.pack("<BL", 1, zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content
