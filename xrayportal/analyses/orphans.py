"""Files that no row names: what a crash between a file and its row leaves behind."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.utils import timezone

from xrayportal.analyses.models import Analysis, Finding
from xrayportal.studies.locks import name_lock, removal
from xrayportal.studies.models import Image
from xrayportal.studies.storage import files_by_folder

logger = logging.getLogger(__name__)

ROOT = "clinics"
#: Of ``clinics/<clinic>/originals/<aa>`` and ``clinics/<clinic>/findings/<analysis>``; others are not ours.
_DEPTH = 3


def sweep() -> Iterator[int]:
    """Walk all stored files and remove orphans; yields after each folder the number of files removed in it.

    A caller with other work to do stops between two folders and goes on later. A file is an orphan
    when it is older than ``ORPHAN_GRACE_SECONDS`` and no row names it.
    """
    for folder, files in files_by_folder(ROOT):
        if folder.count("/") == _DEPTH:
            yield _sweep_folder(folder, files)


def _sweep_folder(folder: str, files: Mapping[str, datetime | None]) -> int:
    unnamed = files.keys() - _named(folder, list(files))
    old = (name for name in sorted(unnamed) if _is_old(name, files[name]))
    removed = sum(_remove_if_orphan(folder, name) for name in old)
    if removed == len(files) and _was_deleted(folder):
        # A worker may write there just now, and the folder is not empty then: the next walk looks again.
        with suppress(OSError):
            default_storage.delete(folder)
    return removed


def _remove_if_orphan(folder: str, name: str) -> bool:
    """Look again under the lock that an upload holds until the file has its row, then remove the file."""
    with name_lock(name), removal() as may:
        if not may or name in _named(folder, [name]) or not _is_old(name):
            return False
        default_storage.delete(name)
    logger.info("Removed %s: no row names it", name)
    return True


def _named(folder: str, names: list[str]) -> set[str]:
    """Those of ``names`` in ``folder`` that a row names."""
    if _is_of_originals(folder):
        hashes = [name.rsplit("/", 1)[1] for name in names]
        return set(Image.objects.filter(sha256__in=hashes, file__in=names).values_list("file", flat=True))
    rows = Finding.objects.filter(analysis_id=_analysis_of(folder)).values_list(*Finding.FILES)
    return {name for row in rows for name in row if name}


def _was_deleted(folder: str) -> bool:
    """Whether the folder is of an analysis that was deleted; a folder of originals is always needed again."""
    return not (_is_of_originals(folder) or Analysis.objects.filter(pk=_analysis_of(folder)).exists())


def _is_of_originals(folder: str) -> bool:
    return folder.split("/")[-2] == "originals"


def _analysis_of(folder: str) -> uuid.UUID:
    """The id that the folder is named by; an id that no row has where the name is not an id."""
    try:
        return uuid.UUID(folder.rpartition("/")[2])
    except ValueError:
        return uuid.UUID(int=0)


def _is_old(name: str, modified: datetime | None = None) -> bool:
    """Whether the file is older than the grace period; not a file that was removed meanwhile.

    Asks the storage unless ``modified`` says when it was written.
    """
    if modified is None:
        try:
            modified = default_storage.get_modified_time(name)
        except FileNotFoundError:
            return False
    return timezone.now() - modified > timedelta(seconds=settings.ORPHAN_GRACE_SECONDS)
