"""Cleans the names and references that senders write: no paths, nothing that hides or rearranges text."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

LONGEST = 255
LONGEST_REFERENCE = 64
#: Control, format (direction marks, zero width), surrogate, private, unassigned; line and paragraph ends.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean_filename(name: str) -> str:
    """Return the last part of a path in NFC without hidden characters, at most `LONGEST` long, never empty.

    The name is only shown: no file is stored or looked up under it.
    """
    shown = _visible(name.replace("\\", "/").rstrip("/").rpartition("/")[2])
    if not shown.strip(". "):
        return "file"
    suffix = PurePosixPath(shown).suffix[:20]
    return shown if len(shown) <= LONGEST else shown[: LONGEST - len(suffix)] + suffix


def folder_of(path: str) -> str:
    """Return the folder that a relative path begins with, as it is shown; empty for a bare name."""
    first, slash, _rest = path.replace("\\", "/").removeprefix("./").lstrip("/").partition("/")
    shown = _visible(first) if slash else ""
    return shown[:LONGEST] if shown.strip(". ") else ""


def comparable_path(path: str) -> str:
    """Return a relative path as it is compared with others: ``/`` between folders, NFC, lower case.

    The two ways to write an umlaut and what cannot be seen make no difference; the path is not shown.
    """
    kept = "".join(sign for sign in path if unicodedata.category(sign) not in _HIDDEN)
    plain = unicodedata.normalize("NFC", kept.replace("\\", "/"))
    return plain.strip().lower().removeprefix("./").lstrip("/")


def clean_reference(text: str) -> str:
    """Return a patient reference as it is stored.

    Raises ``ValidationError`` if it is longer than `LONGEST_REFERENCE`: cut, it might name another patient.
    """
    shown = _visible(text)
    if len(shown) > LONGEST_REFERENCE:
        raise ValidationError(
            _("A patient reference has at most %(limit)d characters.") % {"limit": LONGEST_REFERENCE}
        )
    return shown


def _visible(text: str) -> str:
    kept = "".join(sign for sign in text if unicodedata.category(sign) not in _HIDDEN)
    return " ".join(unicodedata.normalize("NFC", kept).split())
