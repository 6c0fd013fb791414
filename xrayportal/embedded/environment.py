"""``VAR_DIR/portal.env``: secrets and addresses of one portal, made once and remembered.

``manage.py`` reads the same file (see ``settings.py``). A variable that the person has set always wins.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

FILE = "portal.env"


class PortalFile:
    """The file's values; ``put`` writes a change through, with mode 0600."""

    def __init__(self, var: Path) -> None:
        self.path = var / FILE
        self.values = dict(_parse(self.path))

    def put(self, **values: str) -> None:
        """Remember these values."""
        if all(self.values.get(name) == value for name, value in values.items()):
            return
        self.values.update(values)
        text = "# Made by `make demo` or `make up`; keep it secret, and keep it with the data.\n"
        text += "".join(f"{name}={value}\n" for name, value in sorted(self.values.items()))
        temporary = self.path.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_text(text)
        temporary.replace(self.path)

    def make_secrets(self) -> None:
        """What every portal needs once. Two portals on one host get cookies of their own names."""
        tag = secrets.token_hex(4)
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "SESSION_COOKIE_NAME": f"session-{tag}",
            "CSRF_COOKIE_NAME": f"csrf-{tag}",
            "HTTPS": "false",
        }
        self.put(**{name: value for name, value in made.items() if name not in self.values})

    def port(self, name: str) -> int | None:
        """The port in a remembered address."""
        return urlsplit(self.values[name]).port if name in self.values else None

    def password(self, name: str) -> str:
        """The password in a remembered address, or a new one."""
        known = urlsplit(self.values[name]).password if name in self.values else None
        return known or secrets.token_urlsafe(24)

    def environment(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """For the portal's processes: what the person has chosen wins over what is remembered."""
        remembered = {name: value for name, value in self.values.items() if f"{name}_FILE" not in chosen}
        return {**remembered, **chosen}


def given(name: str) -> str | None:
    """A variable that the person has set; empty means not set."""
    return os.environ.get(name) or None


def is_given(name: str) -> bool:
    """Whether the person has set a variable, or ``NAME_FILE``, the file that holds it."""
    return given(name) is not None or given(f"{name}_FILE") is not None


def _parse(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        return []
    lines = [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]
