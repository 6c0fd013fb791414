"""Cleans the names and references that senders write: no paths, nothing that hides or rearranges text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

LONGEST = 255
LONGEST_REFERENCE = 64
#: Control, format (direction marks, zero width), surrogate, private, unassigned; line and paragraph ends.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Marks that stand on one letter. No script needs so many, and composing takes the square of their number:
#: a minute for a hundred thousand.
_MOST_MARKS = 30
#: Ends a run of marks and is seen nowhere (Unicode's stream-safe text, UAX #15).
_JOINER = "\u034f"
#: Of a name, more than can be shown is not looked at.
_LOOKED_AT = 8 * LONGEST


def clean_filename(name: str) -> str:
    """Return the last part of a path in NFC without hidden characters, at most `LONGEST` long, never empty.

    The name is only shown: no file is stored or looked up under it.
    """
    shown = _visible(name.replace("\\", "/").rstrip("/").rpartition("/")[2][:_LOOKED_AT])
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
    plain = _composed(path).replace("\\", "/")
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
    return " ".join(_composed(text).split())


def _composed(text: str) -> str:
    """The text in NFC without hidden characters, in time that grows with its length alone."""
    return unicodedata.normalize("NFC", "".join(_stream_safe(text)))


def _stream_safe(text: Iterable[str]) -> Iterator[str]:
    marks = 0
    for sign in text:
        category = unicodedata.category(sign)
        if category in _HIDDEN:
            continue
        marks = marks + 1 if category.startswith("M") else 0
        if marks > _MOST_MARKS:
            yield _JOINER
            marks = 1
        yield sign
