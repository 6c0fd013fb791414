"""Whether the portal can send e-mail at all."""

from __future__ import annotations

from django.conf import settings

#: Backends that write messages down instead of sending them.
_WITHOUT_SERVER = ("console", "dummy", "filebased")


def has_mail_server() -> bool:
    """Whether ``EMAIL_URL`` names a server that messages are handed to."""
    return settings.EMAIL_BACKEND.split(".")[-2] not in _WITHOUT_SERVER
