"""A file storage whose files are complete and on the disk before any row names them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, default_storage
from django.utils.deconstruct import deconstructible


class StorageUnavailableError(OSError):
    """The file storage took or gave nothing: full, read-only or away. Trying again later may help."""


@deconstructible(path="xrayportal.studies.storage.DurableFileStorage")
class DurableFileStorage(FileSystemStorage):
    """A folder whose files appear complete or not at all, and survive a power cut once saved.

    Names are made of content hashes and row ids, so an existing name is written again, never varied: one
    sees the old or the new file, and its modification time is fresh either way.
    """

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself. Raises ValueError if it is longer than ``max_length``."""
        if max_length is not None and len(name) > max_length:
            raise ValueError(f"The storage name is {len(name)} characters long, {max_length} fit.")
        return name

    def _save(self, name: str, content: File[Any]) -> str:
        path = Path(self.path(name))
        self._make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                for chunk in content.chunks():
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            if self.file_permissions_mode is not None:
                Path(temporary).chmod(self.file_permissions_mode)
            Path(temporary).rename(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _fsync_folder(path.parent)
        return name.replace("\\", "/")

    def _make_folder(self, folder: Path) -> None:
        """Make the folder and its missing parents, private, each durable in its own parent."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        mode = self.directory_permissions_mode
        folder.mkdir(mode=0o700 if mode is None else mode, exist_ok=True)
        _fsync_folder(folder.parent)


def write_durably(name: str, content: bytes | IO[bytes], storage: Storage | None = None) -> None:
    """Write one file under exactly this name; it is flushed when this returns.

    Works with any storage: a folder (``DurableFileStorage``), or an object store, whose single put is
    atomic. Raises `StorageUnavailableError` if the file could not be written; then it is not there.
    """
    storage = storage or default_storage
    file: File[bytes] = ContentFile(content) if isinstance(content, bytes) else File(content)
    try:
        saved = storage.save(name, file)
        if saved != name:
            storage.delete(saved)
    except (SuspiciousFileOperation, ValueError, StorageUnavailableError):  # a wrong name, or said already
        raise
    except Exception as error:  # each storage has its own
        raise StorageUnavailableError(f"{name}: {type(error).__name__}") from error
    if saved != name:
        raise StorageUnavailableError(f"{type(storage).__name__} wrote under another name than asked")


def open_stored(name: str) -> File[Any]:
    """Open a stored file. Raises FileNotFoundError, and `StorageUnavailableError` if the storage is away."""
    try:
        return default_storage.open(name, "rb")
    except (FileNotFoundError, SuspiciousFileOperation):
        raise
    except Exception as error:  # each storage has its own
        raise StorageUnavailableError(f"{name}: {type(error).__name__}") from error


def read_stored(name: str) -> bytes:
    """A stored file's bytes. Raises as `open_stored` does."""
    with open_stored(name) as file:
        try:
            content: bytes = file.read()
        except Exception as error:  # each storage has its own
            raise StorageUnavailableError(f"{name}: {type(error).__name__}") from error
    return content


def files_by_folder(
    root: str, storage: Storage | None = None
) -> Iterator[tuple[str, Mapping[str, datetime | None]]]:
    """Each folder below ``root`` with the names in it, and when they were written where the listing says so.

    A folder may come in parts. Works with any storage; an object store lists a thousand files at once.
    """
    storage = storage or default_storage
    listing = getattr(storage, "files_by_folder", None)
    if listing is not None:
        yield from listing(root)
        return
    try:
        folders, files = storage.listdir(root)
    except FileNotFoundError:
        return
    if files or not folders:
        yield root, dict.fromkeys(f"{root}/{name}" for name in files)
    for folder in sorted(folders):
        yield from files_by_folder(f"{root}/{folder}", storage)


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
