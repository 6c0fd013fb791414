"""Figures as people write them: probabilities, durations, moments, sizes; in the language of the request."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext, ngettext, pgettext

_MOST_PLACES = 8


def format_probability(probability: float | None) -> str:
    """A probability (0 to 1) with two digits: ``0.87``; ``<0.01`` and ``>0.99`` instead of a false 0 or 1."""
    if probability is None:
        return ""
    if 0 < probability < 0.01:
        return "<" + _decimal(0.01, 2)
    if 0.99 < probability < 1:
        return ">" + _decimal(0.99, 2)
    return _decimal(probability, 2)


def format_beside(probability: float | None, *thresholds: float) -> list[str]:
    """A probability and the thresholds that it was held against, with digits enough to tell them apart.

    A value just below a threshold must not print as the same number: ``0.035`` and ``0.038``, not ``0.04``
    and ``0.04``. Two digits where they do.
    """
    if probability is None:
        return ["", *(format_probability(threshold) for threshold in thresholds)]
    for places in range(2, _MOST_PLACES + 1):
        value, *limits = (_places(number, places) for number in (probability, *thresholds))
        if not any(
            probability < threshold and value == limit
            for threshold, limit in zip(thresholds, limits, strict=True)
        ):
            break
    return [value, *limits]


def _places(probability: float, places: int) -> str:
    return format_probability(probability) if places == 2 else _decimal(probability, places)


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
