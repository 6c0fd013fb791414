"""What senders write, as people may see it: no paths, nothing that hides or rearranges text."""

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
    """The last part of the path in NFC without hidden characters, at most 255 long; never empty.

    It is shown only: no file is ever stored or looked up under it.
    """
    shown = _visible(name.replace("\\", "/").rstrip("/").rpartition("/")[2])
    if not shown.strip(". "):
        return "file"
    suffix = PurePosixPath(shown).suffix[:20]
    return shown if len(shown) <= LONGEST else shown[: LONGEST - len(suffix)] + suffix


def clean_reference(text: str) -> str:
    """A patient reference as stored; ValidationError if it is too long (cut, it might name another)."""
    shown = _visible(text)
    if len(shown) > LONGEST_REFERENCE:
        raise ValidationError(_("A patient reference has at most 64 characters."))
    return shown


def _visible(text: str) -> str:
    kept = "".join(sign for sign in text if unicodedata.category(sign) not in _HIDDEN)
    return " ".join(unicodedata.normalize("NFC", kept).split())
