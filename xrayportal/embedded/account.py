"""Whom the database servers run as, and where that account can reach its programs and data.

PostgreSQL refuses to run as root. Started by root, both servers run as an ordinary account that owns
nothing else. A clone in a folder that such an account cannot enter (``/root``) keeps its data, and copies
of the programs, under ``/var/lib/xray-portal``; ``VAR_DIR`` then holds a link to it. Folders outside
``VAR_DIR`` are never opened up.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from xrayportal.embedded.errors import StartProblem

NAME = "xrayportal"
ELSEWHERE = Path("/var/lib/xray-portal")


class Identity(TypedDict, total=False):
    """Arguments of ``subprocess`` that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """The account that the servers run as; ``dropped`` when it is not our own."""

    uid: int
    gid: int
    dropped: bool

    @classmethod
    def choose(cls) -> Account:
        """Our own account, or an ordinary one when we are root."""
        if os.geteuid() != 0:
            return cls(uid=os.geteuid(), gid=os.getegid(), dropped=False)
        entry = _entry(NAME) or _create() or _entry("nobody")
        if entry is None:
            raise StartProblem(
                f"PostgreSQL does not run as root, and no account “{NAME}” could be made for it. "
                "Start the portal as an ordinary user."
            )
        return cls(uid=entry.pw_uid, gid=entry.pw_gid, dropped=True)

    @property
    def identity(self) -> Identity:
        """For ``subprocess.run`` and ``Popen``."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.dropped else {}

    def can_enter(self, folder: Path) -> bool:
        """Whether the account reaches this folder. The kernel is asked: modes do not tell everything."""
        if not self.dropped:
            return os.access(folder, os.X_OK)
        answer = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
            **self.identity,
        )
        return answer.returncode == 0

    def own(self, path: Path) -> None:
        """Give a file or folder to the account."""
        if self.dropped:
            os.chown(path, self.uid, self.gid)

    def home(self, var: Path, name: str) -> Path:
        """The folder ``name`` for one server's data, made if missing, readable by the account alone."""
        folder = var / name
        if self.dropped and not folder.exists():
            var.chmod(0o711)
            if not self.can_enter(var):
                elsewhere = ELSEWHERE / hashlib.sha256(str(var).encode()).hexdigest()[:12] / name
                elsewhere.mkdir(parents=True, exist_ok=True)
                folder.unlink(missing_ok=True)
                folder.symlink_to(elsewhere)
        folder.mkdir(exist_ok=True)
        folder = folder.resolve()
        folder.chmod(0o700)
        self.own(folder)
        return folder

    def reachable(self, root: Path, folders: Iterable[str]) -> Path:
        """``root``, or a copy of its ``folders`` that the account reaches, made once for each content."""
        names = sorted(folders)
        if self.can_enter(root / names[0]):
            return root
        digest = hashlib.sha256()
        for path in sorted(path for name in names for path in (root / name).rglob("*")):
            digest.update(
                f"{path.relative_to(root)} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode()
            )
        copy = ELSEWHERE / "programs" / digest.hexdigest()[:12]
        if not copy.is_dir():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=copy.parent) as temporary:
                made = Path(temporary) / "copy"
                for name in names:
                    shutil.copytree(root / name, made / name, symlinks=True)
                if not copy.is_dir():
                    made.rename(copy)
        return copy


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create() -> pwd.struct_passwd | None:
    command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", NAME]
    if shutil.which("useradd") is None:
        return None
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return _entry(NAME)  # also when somebody else made it at the same moment
