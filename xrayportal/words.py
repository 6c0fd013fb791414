"""The words for codes and figures. Verdict words are the bundle's; the rest is translated here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop, ngettext, pgettext
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


def body_part_word(label: str) -> str:
    """A body part in the reader's language, sentence case; empty stays empty."""
    word = BODY_PARTS.get(label)
    return str(word) if word is not None else capfirst(label.replace("_", " "))


def verdict_word(manifest: Mapping[str, Any], code: str) -> str:
    """The bundle's word for a verdict code, translated where the catalogue knows it, sentence case."""
    return capfirst(gettext(manifest["target"][code]))


def format_probability(probability: float | None) -> str:
    """A probability (0 to 1) with two digits: ``0.87``; ``<0.01`` and ``>0.99`` instead of a false 0 or 1."""
    if probability is None:
        return ""
    if 0 < probability < 0.01:
        return "<" + _decimal(0.01, 2)
    if 0.99 < probability < 1:
        return ">" + _decimal(0.99, 2)
    return _decimal(probability, 2)


def percent(share: float) -> str:
    """A share (0 to 1) as a whole per cent: ``86 %``; ``<1 %`` and ``>99 %`` instead of a false 0 or 100."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")


def ordinal(position: int) -> str:
    """``1st``, ``2nd``, ``3rd`` …; a catalogue translates each of the four patterns."""
    ending = "th" if 10 <= position % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    patterns = {
        "st": pgettext("ordinal", "%dst"),
        "nd": pgettext("ordinal", "%dnd"),
        "rd": pgettext("ordinal", "%drd"),
        "th": pgettext("ordinal", "%dth"),
    }
    return patterns[ending] % position


def format_duration(seconds: float) -> str:
    """About how long: ``20 s``, ``3 min``, ``2 h``. Seconds are rounded up to steps that do not flicker."""
    number, unit = _rounded(seconds)
    return unit % number


def format_duration_range(quick: float, slow: float) -> str:
    """From the quick to the slow case: ``20 to 35 s``, ``50 s to 2 min``; one figure if both round to it."""
    (low, low_unit), (high, high_unit) = _rounded(quick), _rounded(slow)
    if (low, low_unit) == (high, high_unit):
        return high_unit % high
    begin = str(low) if low_unit == high_unit else low_unit % low
    return gettext("%(low)s to %(high)s") % {"low": begin, "high": high_unit % high}


def ago(at: datetime, now: datetime | None = None) -> str:
    """How long ago a moment was, short enough for a table; its date after a week."""
    seconds = ((now or timezone.now()) - at).total_seconds()
    if seconds < 60:
        return gettext("just now")
    if seconds < 3600:
        return gettext("%d min ago") % (seconds // 60)
    if seconds < 86400:
        return gettext("%d h ago") % (seconds // 3600)
    if seconds < 7 * 86400:
        days = int(seconds // 86400)
        return ngettext("%d day ago", "%d days ago", days) % days
    return date_format(timezone.localtime(at), gettext("j M Y"))


def absolute(at: datetime) -> str:
    """The moment in the active time zone, with the zone's name."""
    local = timezone.localtime(at)
    pattern = gettext("j F Y, H:i:s")
    return f"{date_format(local, pattern)} {local.tzname()}"


def size_words(count: int) -> str:
    """A number of bytes for people: ``742 kB``, ``3.1 MB``."""
    if count < 1_000_000:
        return gettext("%d kB") % max(1, round(count / 1000))
    return gettext("%s MB") % _decimal(count / 1_000_000, 1)


def _rounded(seconds: float) -> tuple[int, str]:
    """The number to show and the pattern of its unit."""
    if seconds < 60:
        return max(5, -(-int(seconds) // 5) * 5), gettext("%d s")
    if seconds < 5400:
        return round(seconds / 60), gettext("%d min")
    return round(seconds / 3600), gettext("%d h")


def _decimal(value: float, places: int) -> str:
    """Rounded, with the language's decimal mark; Django alone would truncate a float."""
    return number_format(Decimal(f"{value:.{places}f}"), decimal_pos=places)
