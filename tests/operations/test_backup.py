"""A backup made while the portal works, restored into a database and a folder that are empty."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection

from tests.factories import make_bundle, make_clinic, make_submission, png
from xrayportal.audit.anchors import anchor_files, current_anchors, write_anchors
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.clinics.models import Clinic
from xrayportal.environment import Environment
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.intake.ingest import IncomingFile, ingest_file
from xrayportal.operations import backup
from xrayportal.operations.backup import BackupError, restore_backup
from xrayportal.studies.models import Image, Study

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def send(clinic: Clinic, shade: int) -> Study:
    """One picture through the real ingest."""
    submission = make_submission(clinic)
    incoming = IncomingFile(
        submission=submission, key=f"k{shade}", actor=Actor(submission.submitter), path=f"{shade}.png"
    )
    upload = ingest_file(incoming, io.BytesIO(png(shade=shade)))
    assert upload.image is not None
    return upload.image.study


@dataclass
class Elsewhere:
    """A database and a folder without anything in them."""

    url: str
    var: Path

    @property
    def key(self) -> Path:
        """Where the restored key goes."""
        return self.var / "secret-key"

    def restore(self, file: Path) -> subprocess.CompletedProcess[str]:
        """In a process of its own, as another machine would."""
        environment = {
            **os.environ,
            "DATABASE_URL": self.url,
            "DATABASE_PORTAL_ROLE": "",
            "VAR_DIR": str(self.var),
            "MEDIA_ROOT": str(self.var / "media"),
            "SECRET_KEY": "another key, of at least thirty-two characters",
        }
        command = [sys.executable, "manage.py", "restore", str(file), "--secret-key-file", str(self.key)]
        return subprocess.run(
            command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
        )

    def ask(self, statement: str) -> Any:
        """The single value of a query."""
        session = psycopg2.connect(self.url)
        try:
            with session.cursor() as cursor:
                cursor.execute(statement)
                (value,) = cursor.fetchone() or (None,)
                return value
        finally:
            session.close()


@pytest.fixture
def elsewhere(tmp_path: Path, transactional_db: None) -> Iterator[Elsewhere]:
    name = f"restored_{os.getpid()}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    var = tmp_path / "elsewhere"
    var.mkdir()
    (var / "portal.env").write_text("HTTPS=false\nSECRET_KEY=the one that was made for an empty portal\n")
    yield Elsewhere(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl(), var)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_backup_made_at_work_is_whole_elsewhere(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle()
    clinic = make_clinic()
    studies = [send(clinic, shade) for shade in range(3)]
    names = set(Image.objects.values_list("file", flat=True))
    call_command("anchor_audit")
    anchors = dict(anchor_files())
    run = backup._run

    def meanwhile(command: list[str]) -> None:
        """Between the snapshot and the copies of the files a study goes and another comes."""
        run(command)
        in_another_session(lambda: delete_study(study=studies[0], reason=Reason.REQUEST, actor=PORTAL))
        in_another_session(lambda: send(clinic, 200))
        # Names events that the backup does not hold.
        in_another_session(lambda: write_anchors(current_anchors()))

    monkeypatch.setattr(backup, "_run", meanwhile)
    file = tmp_path / "backup.tar"
    call_command("backup", str(file))
    monkeypatch.undo()
    assert file.stat().st_mode & 0o777 == 0o600
    assert Study.objects.count() == 3, "one went, one came"
    assert all(default_storage.exists(name) for name in names), "the search for orphans removes it later"

    damaged = tmp_path / "damaged.tar"
    changed(file, damaged, contents={f"files/{min(names)}": b"another picture"})
    done = elsewhere.restore(damaged)
    assert (done.returncode, "is damaged in the backup" in done.stderr) == (1, True), done.stderr

    done = elsewhere.restore(file)
    assert done.returncode == 0, done.stderr
    assert "Restored 3 files" in done.stdout
    assert "audit chains are whole" in done.stdout
    assert elsewhere.ask("SELECT count(*) FROM studies_study") == 3
    assert str(studies[0].pk) in elsewhere.ask("SELECT string_agg(id::text, ' ') FROM studies_study")
    stored = {
        str(path.relative_to(elsewhere.var / "media"))
        for path in (elsewhere.var / "media").rglob("*")
        if path.is_file()
    }
    assert stored == names
    for name in names:
        with default_storage.open(name) as original:
            assert (elsewhere.var / "media" / name).read_bytes() == original.read()
    kept = elsewhere.var / "audit-anchors"
    restored = {str(path.relative_to(kept)): path.read_bytes() for path in kept.rglob("*.txt")}
    assert anchors, "there was one to keep"
    assert restored == anchors
    monkeypatch.setattr(settings, "VAR_DIR", elsewhere.var)
    backup._restore_keys({"SECRET_KEY": settings.SECRET_KEY}, None)  # as on one machine
    keys = (elsewhere.var / "portal.env").read_text()
    assert f"SECRET_KEY={settings.SECRET_KEY}" in keys
    assert "HTTPS=false" in keys
    assert "empty portal" not in keys

    assert f"SECRET_KEY_FILE={elsewhere.key}" in done.stdout
    assert elsewhere.key.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("RESTORED_KEY_FILE", str(elsewhere.key))
    assert Environment().key("RESTORED_KEY") == settings.SECRET_KEY

    again = elsewhere.restore(file)
    assert again.returncode == 1
    assert "has data of its own" in again.stderr


def in_another_session(act: Any) -> None:
    """As another process would: the backup's own transaction only reads."""
    import threading

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def changed(
    file: Path, target: Path, *, contents: dict[str, bytes] | None = None, add: tarfile.TarInfo | None = None
) -> None:
    """Copy a backup with other contents of some files, and one entry more."""
    contents = contents or {}
    with tarfile.open(file) as whole, tarfile.open(target, "w") as copy:
        for member in whole:
            source = whole.extractfile(member)
            content = contents.get(member.name, source.read() if source else b"")
            member.size = len(content)
            copy.addfile(member, io.BytesIO(content))
        if add is not None:
            copy.addfile(add, io.BytesIO(b"x" * add.size))


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def test_a_backup_that_was_changed_is_refused(tmp_path: Path) -> None:
    make_clinic()
    file, other = tmp_path / "backup.tar", tmp_path / "other.tar"
    call_command("backup", str(file))
    with tarfile.open(file) as whole:
        source = whole.extractfile("manifest.json")
        assert source is not None
        manifest = json.load(source)
    outside: list[tuple[str, dict[str, Any]]] = [
        ("is no file of a backup", {"add": entry("../outside")}),
        ("is no file of a backup", {"add": entry("files/../../outside")}),
        ("is no file of a backup", {"add": entry("/outside")}),
        ("is no file of a backup", {"add": entry("files/\n")}),
        ("is no file of a backup", {"add": entry("files/a", tarfile.SYMTYPE, "/etc/passwd")}),
        ("is no file of a backup", {"add": entry("manifest.json", tarfile.SYMTYPE, "manifest.json")}),
        ("is no file of a backup", {"add": entry("anchors/a", tarfile.LNKTYPE, "keys.env")}),
        ("is no file of a backup", {"add": entry("files/pipe", tarfile.FIFOTYPE)}),
        ("no whole backup", {"contents": {"manifest.json": b"[" * 100_000}}),
        ("no whole backup", {"contents": {"manifest.json": b"{}"}}),
        ("no whole backup", named(manifest, files={"../outside": "0" * 64})),
        ("no whole backup", named(manifest, files=["keys.env"])),
        ("the format 2", named(manifest, format=2)),
        ("newer version", named(manifest, migrations=["studies.9999_later"])),
        ("lacks SECRET_KEY", {"contents": {"keys.env": b"FILES_STORAGE=evil.Storage\n"}}),
        ("has data of its own", {}),
    ]
    for sentence, change in outside:
        changed(file, other, **change)
        with pytest.raises(BackupError, match=sentence):
            restore_backup(other)
    with gzip.open(other, "wb") as packed:
        packed.write(file.read_bytes())
    with pytest.raises(BackupError, match="cannot be opened"):
        restore_backup(other)
    changed(file, other, contents={"keys.env": b"DEBUG=true\nSECRET_KEY=a=b\n"})
    with tarfile.open(other) as archive:
        assert backup._keys(archive) == {"SECRET_KEY": "a=b"}


def named(manifest: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Another manifest."""
    return {"contents": {"manifest.json": json.dumps({**manifest, **changes}).encode()}}


def test_what_is_no_whole_backup_is_refused_before_anything_changes(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    make_clinic()
    file = tmp_path / "backup.tar"
    call_command("backup", str(file))
    with pytest.raises(CommandError, match="is there already"):
        call_command("backup", str(file))
    short = tmp_path / "short.tar"
    with tarfile.open(file) as whole, tarfile.open(short, "w") as cut:
        member = whole.getmember("database.dump")
        cut.addfile(member, whole.extractfile(member))
    with pytest.raises(CommandError, match="cannot be opened"):
        call_command("restore", str(tmp_path / "none.tar"))
    with pytest.raises(CommandError, match="has data of its own"):
        call_command("restore", str(file))
    done = elsewhere.restore(short)
    assert done.returncode == 1
    assert "no whole backup" in done.stderr
    assert "Traceback" not in done.stderr
    assert elsewhere.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
