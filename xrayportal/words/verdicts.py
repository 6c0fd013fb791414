"""The words for verdicts and body parts. A verdict's words are the bundle's; the rest is translated here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

#: Body parts that the shipped bundles know; an unknown label is shown as it is.
BODY_PARTS = {
    "hand": _("Hand"),
    "finger": _("Finger"),
    "wrist": _("Wrist"),
    "forearm": _("Forearm"),
    "elbow": _("Elbow"),
    "humerus": _("Humerus"),
    "shoulder": _("Shoulder"),
    "hip": _("Hip"),
    "femur": _("Femur"),
    "knee": _("Knee"),
    "tibia": _("Lower leg"),
    "ankle": _("Ankle"),
    "foot": _("Foot"),
}


#: What the shipped bundles call their verdicts; the words of another bundle are shown as they are.
VERDICT_WORDS = (
    gettext_noop("no fracture seen"),
    gettext_noop("fracture suspected"),
    gettext_noop("uncertain"),
    gettext_noop("unsupported"),
    gettext_noop("outside what the model can analyse"),
    gettext_noop("normal"),
    gettext_noop("abnormal"),
)


#: The outcome of a body part that the bundle does not judge.
NOT_JUDGED = "not_judged"
_LEANINGS = {
    "towards_normal": _("%(uncertain)s, towards normal"),
    "towards_abnormal": _("%(uncertain)s, towards abnormal"),
}

#: Outcomes that have the colour of another one.
TONES = {"towards_normal": "uncertain", "towards_abnormal": "uncertain", NOT_JUDGED: "unsupported"}


def body_part_word(label: str) -> str:
    """A body part in the reader's language, sentence case; empty stays empty."""
    word = BODY_PARTS.get(label)
    return str(word) if word is not None else capfirst(label.replace("_", " "))


def verdict_word(manifest: Mapping[str, Any], code: str) -> str:
    """The bundle's word for a verdict, translated where the catalogue knows it, sentence case.

    ``code`` may also be a leaning or ``NOT_JUDGED``: see ``analyses.outcomes``.
    """
    if code == NOT_JUDGED:
        return gettext("Not judged")
    if code in _LEANINGS:
        return str(_LEANINGS[code]) % {"uncertain": verdict_word(manifest, "uncertain")}
    return capfirst(gettext(manifest["target"][code]))
