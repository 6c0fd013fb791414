"""Why a result did not arrive at an archive, in words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_REASONS: dict[str, Promise] = {
    "unreachable": gettext_lazy("The archive cannot be reached."),
    "association-rejected": gettext_lazy(
        "The archive rejects the connection: it may not know our AE title or address."
    ),
    "class-refused": gettext_lazy(
        "The archive does not take every kind of object. Turn that kind off under Settings, DICOM."
    ),
    "refused": gettext_lazy("The archive refused an object."),
    "interrupted": gettext_lazy("The connection broke off."),
    "not-permitted": gettext_lazy("The portal's operator does not allow results to go to this address."),
    "identifiers-erased": gettext_lazy("The identifiers that the archive files by are no longer kept."),
    "identifiers-unreadable": gettext_lazy(
        "The identifiers that the archive files by cannot be opened: the portal's secret key was changed."
    ),
    "not-made": gettext_lazy("The objects could not be made. The portal's log tells why."),
}


def delivery_reason(kind: str, code: str = "") -> str:
    """The sentence of a failed attempt, with the archive's own code if any; empty without a failure."""
    if not kind:
        return ""
    sentence = str(_REASONS.get(kind, _("It failed.")))
    return f"{sentence} ({code})" if code else sentence
