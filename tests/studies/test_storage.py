"""Stored files: whole or absent, private, under exactly the name that the row will carry."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage

from xrayportal.studies.storage import DurableFileStorage, write_durably

NAME = "clinics/c/originals/ab/abcd"


@pytest.fixture
def storage(tmp_path: Path) -> DurableFileStorage:
    return DurableFileStorage(
        location=tmp_path / "media", file_permissions_mode=0o600, directory_permissions_mode=0o700
    )


def files(storage: DurableFileStorage) -> list[Path]:
    return [path for path in Path(storage.location).rglob("*") if path.is_file()]


def test_written_whole_private_and_under_its_name(storage: DurableFileStorage) -> None:
    write_durably(NAME, b"content", storage)
    path = Path(storage.path(NAME))
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in list(path.parents)[:4])


def test_the_same_name_again_replaces_and_refreshes(storage: DurableFileStorage) -> None:
    write_durably(NAME, b"content", storage)
    path = Path(storage.path(NAME))
    os.utime(path, (1, 1))
    write_durably(NAME, io.BytesIO(b"content"), storage)
    assert path.stat().st_mtime > 1
    assert files(storage) == [path]


def test_flushed_before_the_rename_and_the_folder_after(
    storage: DurableFileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def watched_fsync(handle: int) -> None:
        target = Path(f"/proc/self/fd/{handle}").resolve()
        steps.append(
            "fsync folder"
            if target.is_dir()
            else f"fsync {'partial' if '.partial-' in target.name else 'file'}"
        )
        fsync(handle)

    def watched_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    write_durably(NAME, b"first, so that the folders exist", storage)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    write_durably(NAME, b"second", storage)
    assert steps == ["fsync partial", "rename", "fsync folder"]


def test_a_write_that_fails_leaves_nothing(storage: DurableFileStorage) -> None:
    class Broken(ContentFile):  # type: ignore[type-arg]
        def chunks(self, chunk_size: int | None = None):  # type: ignore[no-untyped-def]
            yield b"half"
            raise OSError(28, "No space left on device")

    write_durably(NAME, b"old", storage)
    with pytest.raises(OSError, match="No space"):
        storage.save(NAME, Broken(b""))
    assert Path(storage.path(NAME)).read_bytes() == b"old"
    assert len(files(storage)) == 1


def test_names_stay_inside(storage: DurableFileStorage) -> None:
    for name in ("../outside", "/etc/passwd", "a/../../b"):
        with pytest.raises(SuspiciousFileOperation):
            write_durably(name, b"x", storage)


def test_any_storage_will_do() -> None:
    memory = InMemoryStorage()
    write_durably("a/b", b"content", memory)
    assert memory.open("a/b").read() == b"content"


def test_a_storage_that_varies_names_is_noticed() -> None:
    memory = InMemoryStorage()
    write_durably("a/b", b"content", memory)
    with pytest.raises(OSError, match="another name"):
        write_durably("a/b", b"content", memory)
    assert memory.listdir("a") == ([], ["b"])
