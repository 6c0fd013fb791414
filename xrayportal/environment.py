"""Values from the environment: a wrong one stops the start with a sentence that names the variable.

``environ`` itself takes every word that it does not know for "false", and says of a wrong number neither
which variable it is nor what would be right. A slip in ``HTTPS`` must not quietly make cookies insecure.

``NAME_FILE`` may name a file that holds ``NAME``: so container hosts hand over secrets, which would otherwise
be shown by whatever shows a process's environment.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class _Variables(FileAwareMapping):  # type: ignore[misc]  # environ has no types
    """As ``os.environ``, with the content of ``NAME_FILE`` under ``NAME``; never both."""

    def __getitem__(self, key: str) -> str:
        file = self.env.get(f"{key}_FILE")
        if not file:
            return str(self.env[key])
        if self.env.get(key):
            raise ImproperlyConfigured(f"{key} and {key}_FILE are both set: leave one of them out.")
        try:
            return Path(file).read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            raise ImproperlyConfigured(f"{key}_FILE cannot be read: {file}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise ImproperlyConfigured(f"{key}_FILE is no text: {file}.") from None


class Environment(environ.Env):  # type: ignore[misc]  # environ has no types
    """``environ.Env`` with a method for each kind of value that the settings have.

    Every method raises ImproperlyConfigured for a value of another kind.
    """

    ENVIRON = _Variables()

    def flag(self, var: str, default: bool) -> bool:
        """True for true, yes, on and 1; False for false, no, off and 0."""
        text = self.str(var, default=str(default))
        if text.strip().lower() not in _WORDS:
            raise ImproperlyConfigured(f"{var} must be true or false, not “{text}”.")
        return _WORDS[text.strip().lower()]

    def whole(self, var: str, default: int, least: int = 0) -> int:
        """A whole number, at least ``least``."""
        text = self.str(var, default=str(default))
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise ImproperlyConfigured(f"{var} must be a whole number, at least {least}, not “{text}”.")
        return number

    def real(self, var: str, default: float) -> float:
        """A finite number above zero."""
        text = self.str(var, default=str(default))
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise ImproperlyConfigured(f"{var} must be a number above 0, not “{text}”.")
        return number

    def one_of(self, var: str, *choices: str) -> str:
        """One of these words; the first one where the variable is not set."""
        text = str(self.str(var, default=choices[0]))
        if text not in choices:
            raise ImproperlyConfigured(f"{var} must be {' or '.join(choices)}, not “{text}”.")
        return text

    def key(self, var: str) -> str:
        """A secret to sign sessions and links with: at least 32 characters, too many to guess."""
        text = str(self.str(var))
        if len(text) < 32:  # nor is it repeated
            raise ImproperlyConfigured(f"{var} must be a random text of at least 32 characters.")
        return text

    def database(self, var: str) -> dict[str, Any]:
        """Django's settings of a PostgreSQL database, the only kind that the portal runs on."""
        self._expect(var, "postgres://", "postgresql://")
        settings: dict[str, Any] = self.db(var)
        return settings

    def redis(self, var: str) -> str:
        """The address of a Redis server."""
        return self._expect(var, "redis://", "rediss://")

    def _expect(self, var: str, *beginnings: str) -> str:
        address = str(self.str(var))
        if not address.startswith(beginnings):  # the rest may hold a password, so it is not repeated
            raise ImproperlyConfigured(f"{var} must begin with {' or '.join(beginnings)}.")
        return address
