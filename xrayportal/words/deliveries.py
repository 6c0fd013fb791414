"""Why a result did not arrive at an archive, in words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_REASONS: dict[str, Promise] = {
    "unreachable": gettext_lazy("The archive cannot be reached."),
    "unreachable-over-tls": gettext_lazy(
        "The archive cannot be reached over TLS: it may not answer, not speak TLS, or show a certificate "
        "that the portal's operator does not trust."
    ),
    "host-unknown": gettext_lazy("This host name is unknown."),
    "not-dicom": gettext_lazy("Something answers at this address, but it does not speak DICOM."),
    "association-rejected": gettext_lazy(
        "The archive rejects the connection: it may not know our AE title or address."
    ),
    "calling-unknown": gettext_lazy("The archive rejects the connection: it does not know our AE title."),
    "called-unknown": gettext_lazy(
        "The archive rejects the connection: it has another AE title than the one entered here."
    ),
    "credentials-refused": gettext_lazy("The archive does not accept our authorization."),
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


#: What a test of the connection found, where it is another thing than for a delivery.
_FOUND: dict[str, Promise] = {
    "accepted": gettext_lazy("The archive was reached and accepts the connection."),
    "answers": gettext_lazy(
        "The archive's web server was reached. Whether it takes results shows with the first one."
    ),
    "class-refused": gettext_lazy("The archive was reached and knows us, but does not answer C-ECHO."),
    "refused": gettext_lazy("The archive was reached, but refuses."),
    "not-made": gettext_lazy("The connection could not be tested. The portal's log tells why."),
}


def connection_words(outcome: str, code: str = "") -> str:
    """The sentence of a test of a connection, with the archive's own code if any."""
    sentence = str((_REASONS | _FOUND).get(outcome, _("It failed.")))
    return f"{sentence} ({code})" if code else sentence


def delivery_reason(kind: str, code: str = "") -> str:
    """The sentence of a failed attempt, with the archive's own code if any; empty without a failure."""
    if not kind:
        return ""
    sentence = str(_REASONS.get(kind, _("It failed.")))
    return f"{sentence} ({code})" if code else sentence
