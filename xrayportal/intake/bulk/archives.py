"""Opens ZIP archives within bounds, as if they were hostile, and unpacks them one member at a time."""

from __future__ import annotations

import contextlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from django.conf import settings
from django.utils.translation import gettext as _

from xrayportal.intake.rejection import RejectedError, too_large

#: Deflate cannot shrink a radiograph a hundredfold; more is a bomb (or a blank picture: no loss).
MAX_RATIO = 200
#: The first bytes of every entry of the directory. Folders and clutter are entries too, hence the margin.
_ENTRY = b"PK\x01\x02"
_ENTRIES_PER_FILE = 4
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
_CLUTTER = ("__macosx/", ".ds_store", "thumbs.db", "desktop.ini", "dicomdir")
#: Flags of encryption: ordinary, strong. And that of a member that holds only what changed in it.
_ENCRYPTED_FLAGS, _PATCH_FLAG = 0x41, 0x20
#: The flag that says that a name is UTF-8, and Info-ZIP's extra field with the name in UTF-8.
_UTF_8_FLAG = 0x800
_UNICODE_PATH = 0x7075

#: What the library raises for a damaged member; RuntimeError for a missing password.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, OSError, ValueError, NotImplementedError, RuntimeError),
)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: relative ``path``, ``size`` in bytes unpacked, and the refusal, if any."""

    path: str
    size: int
    refusal: RejectedError | None
    info: zipfile.ZipInfo


class Archive:
    """An open ZIP. Each of its ``members`` carries its refusal, if any. Raises ``RejectedError``."""

    def __init__(self, file: IO[bytes]) -> None:
        # Before the library lists it: a million empty entries fit into 64 MB and take a gigabyte to list.
        if _count(file, _ENTRY) > _ENTRIES_PER_FILE * settings.ARCHIVE_MAX_FILES:
            raise refusal("archive-files")
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
            raise refusal("archive-damaged") from None
        named = [(info, _path(info)) for info in self._zip.infolist()]
        self.members = [_member(info, path) for info, path in named if not _is_clutter(path)]
        if len(self.members) > settings.ARCHIVE_MAX_FILES:
            raise refusal("archive-files")
        # What is refused is never unpacked: a bomb spoils no other file of its archive.
        if sum(member.size for member in self.members if not member.refusal) > settings.ARCHIVE_MAX_BYTES:
            raise refusal("archive-bytes")

    def unpack(self, member: Member) -> bytes:
        """Unpack a member, no more bytes than it announced. Raises ``RejectedError`` for it alone."""
        try:
            with self._zip.open(member.info) as stream:
                data = stream.read(member.size + 1)
        except _DAMAGE:
            raise refusal("member-damaged") from None
        if len(data) != member.size:
            raise refusal("member-damaged")
        return data

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)


def is_archive(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a ZIP (also an empty one)."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def nested() -> RejectedError:
    """The refusal of an archive inside an archive: honest senders need one level only."""
    return refusal("member-archive")


def refusal(code: str) -> RejectedError:
    """The refusal of this code; ``static/submissions/unzip.js`` has the same. Raises ``KeyError``."""
    again = _("Make the archive again.")
    split = _("Split it, or send the folder itself.")
    megabytes = settings.ARCHIVE_MAX_BYTES // 2**20
    reason, advice = {
        "archive-damaged": (_("the archive is damaged or cut short"), again),
        "archive-files": (
            _("the archive holds more than %(limit)d files") % {"limit": settings.ARCHIVE_MAX_FILES},
            split,
        ),
        "archive-bytes": (_("the archive unpacks to more than %(limit)d MB") % {"limit": megabytes}, split),
        "member-archive": (_("it is an archive inside the archive"), _("Unpack it first.")),
        "member-damaged": (_("it is damaged inside the archive"), again),
        "member-encrypted": (_("it is encrypted"), _("Make the archive again without a password.")),
        "member-link": (_("it is a link, not a file"), _("Put the file itself into the archive.")),
        "member-method": (_("it is packed in a way that is not understood"), _("Use an ordinary ZIP.")),
        "member-path": (
            _("its path leads out of the archive"),
            _("Make the archive again from a plain folder."),
        ),
        "member-ratio": (_("it unpacks to far more than a radiograph does"), _("Check the archive.")),
    }[code]
    return RejectedError(code, reason, advice)


def _member(info: zipfile.ZipInfo, path: str) -> Member:
    return Member(path, info.file_size, _refusal(info, path), info)


def _path(info: zipfile.ZipInfo) -> str:
    """The name as its sender wrote it, ``/`` between folders; ``static/submissions/unzip.js`` does the same.

    Without the flag for UTF-8 it may be: Info-ZIP's extra field (if it is about this name), UTF-8 all the
    same (macOS), or the old code page of DOS (Windows).
    """
    name = info.orig_filename
    if not info.flag_bits & _UTF_8_FLAG:
        raw = name.encode("cp437")  # as the library decoded it: each byte is a sign of its own
        with contextlib.suppress(UnicodeDecodeError):  # else the code page it is
            name = (_unicode_path(info.extra, raw) or raw).decode("utf-8")
    return name.partition("\0")[0].replace("\\", "/")


def _unicode_path(extra: bytes, raw: bytes) -> bytes:
    """The UTF-8 name of Info-ZIP's extra field; empty without one, or if the file was renamed since."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        content = extra[at + 4 : at + 4 + length]
        if kind == _UNICODE_PATH and len(content) > 5:
            version, checksum = struct.unpack_from("<BL", content)
            return content[5:] if version == 1 and checksum == zlib.crc32(raw) else b""
        at += 4 + length
    return b""


def _refusal(info: zipfile.ZipInfo, path: str) -> RejectedError | None:
    mode = stat.S_IFMT(info.external_attr >> 16)
    leads_out = path.startswith("/") or path[1:2] == ":" or ".." in PurePosixPath(path).parts
    if info.file_size > settings.UPLOAD_MAX_BYTES:
        return too_large()
    if info.flag_bits & _ENCRYPTED_FLAGS:
        return refusal("member-encrypted")
    if leads_out:
        return refusal("member-path")
    if mode not in (0, stat.S_IFREG):
        return refusal("member-link")
    if info.file_size > MAX_RATIO * max(info.compress_size, 1024):
        return refusal("member-ratio")
    if path.lower().endswith(_ARCHIVES):
        return refusal("member-archive")
    # Other methods have no bound on memory, and exceptions of their own.
    if info.compress_type not in _METHODS or info.flag_bits & _PATCH_FLAG:
        return refusal("member-method")
    return None


def _count(file: IO[bytes], mark: bytes) -> int:
    """Count ``mark`` in a file, a piece at a time."""
    file.seek(0)
    count, tail = 0, b""
    while piece := file.read(1 << 20):
        count += (tail + piece).count(mark)
        tail = piece[1 - len(mark) :]
    file.seek(0)
    return count


def _is_clutter(path: str) -> bool:
    lower = path.lower()
    return path.endswith("/") or lower.startswith(_CLUTTER[0]) or PurePosixPath(lower).name in _CLUTTER[1:]
