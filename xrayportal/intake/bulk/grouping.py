"""Decides which files of a folder are views of one study."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath

from xrayportal.studies.models import Grouping

#: MURA's layout: patient00011/study1_positive/image1.png, at any depth.
_MURA = re.compile(r"(?P<patient>patient\d{1,32})/(?P<study>study\d+(?:_\w+)?)/[^/]+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """The study that a file belongs to: ``grouping_key`` is empty for a study of its own."""

    grouping_key: str = ""
    patient_reference: str = ""


def place(path: str, choice: str, submission: uuid.UUID) -> Place:
    """Find the study that the file at relative ``path`` (``/`` between folders) belongs to.

    With ``folders``, files that lie in one nested folder are one study; a file at the top, or
    directly in the one folder that was dropped, is a study of its own, because a flat folder of
    radiographs is a pile of patients, not a patient. Keys hold within one submission, or within
    those that continue it.
    """
    if choice != Grouping.FOLDERS:
        return Place()
    mura = _MURA.search(path)
    if mura:
        return Place(_key(submission, path[: mura.end("study")]), mura["patient"])
    folder = PurePosixPath(path).parent
    if len(folder.parts) < 2:
        return Place()
    return Place(_key(submission, folder.as_posix()))


def _key(submission: uuid.UUID, folder: str) -> str:
    return (
        "folder-"
        + hashlib.sha256(f"{submission}/{folder}".encode("utf-8", "surrogateescape")).hexdigest()[:48]
    )
