"""Anchors: the ends of the audit chains, written down now and then where the database's owner cannot reach.

A chain that was cut, rewritten or removed together with its head is whole by itself; an anchor that names an
event which is no longer there, or another one, shows it. An anchor is a line of text:
``2026-11-26T19:00:00+00:00 5f0c…-…  120  9b1d…`` (when, the clinic's id or ``platform``, number, hash).
"""

from __future__ import annotations

import logging
import re
import secrets
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from smtplib import SMTPException

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone

from xrayportal.audit.models import AuditHead

logger = logging.getLogger(__name__)

PLATFORM = "platform"
SUFFIX = ".txt"
_LINE = re.compile(
    r"(?P<at>\d{4}-\S+) (?P<chain>platform|[0-9a-f-]{36}) (?P<number>\d{1,18}) (?P<hash>[0-9a-f]{64})"
)
#: The reconciler must not wait long for a mail server.
_MAIL_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of one chain at one moment; ``clinic`` is the clinic's id, None for the platform's chain."""

    at: datetime
    clinic: uuid.UUID | None
    number: int
    hash: str

    @classmethod
    def read(cls, line: str) -> Anchor:
        """From a line that holds one, with whatever a log puts around it. Raises ValueError for another."""
        found = _LINE.search(line)
        if found is None:
            raise ValueError("There is no anchor in this line.")
        clinic = None if found["chain"] == PLATFORM else uuid.UUID(found["chain"])
        return cls(datetime.fromisoformat(found["at"]), clinic, int(found["number"]), found["hash"])

    def __str__(self) -> str:
        at = self.at.isoformat(timespec="seconds")
        return f"{at} {self.clinic or PLATFORM} {self.number} {self.hash}"


def current_anchors() -> list[Anchor]:
    """The ends of all chains as the database has them now; one query."""
    now = timezone.now()
    heads = AuditHead.objects.filter(number__gt=0).order_by("pk")
    return [Anchor(now, head.clinic_id, head.number, head.hash) for head in heads]


def write_anchors(anchors: Iterable[Anchor]) -> None:
    """Write anchors to the log, to the storage ``anchors``, and in a mail to ``AUDIT_ANCHOR_MAIL``.

    Each time is an object of its own, so that the storage may refuse changes. Raises OSError (or the store's
    own error) where it could not be written; the log has it then, and the mail is sent all the same.
    """
    lines = [str(anchor) for anchor in anchors]
    if not lines:
        return
    for line in lines:
        logger.info("Audit anchor %s", line)
    text = "\n".join(lines) + "\n"
    _mail(text)
    now = timezone.now()
    name = f"{now:%Y/%m}/{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}{SUFFIX}"
    storages["anchors"].save(name, ContentFile(text.encode()))


def stored_anchors() -> list[Anchor]:
    """All anchors in the storage. Raises OSError (or the store's own error) where it cannot be read."""
    found: list[Anchor] = []
    for _name, content in anchor_files():
        found += read_anchors(content.decode(errors="replace").splitlines())
    return found


def anchor_files() -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in the storage ``anchors``; raises as `stored_anchors` does."""
    storage = storages["anchors"]
    for name in _names(storage):
        with storage.open(name, "rb") as file:
            yield name, file.read()


def read_anchors(lines: Iterable[str]) -> Iterator[Anchor]:
    """The anchors among lines of text: of a file, a log or a mail."""
    for line in lines:
        try:
            yield Anchor.read(line)
        except ValueError:  # another line of the same log
            continue


def _names(storage: Storage, folder: str = "") -> Iterator[str]:
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:  # nothing was ever anchored
        return
    for name in sorted(files):
        if name.endswith(SUFFIX):
            yield f"{folder}/{name}" if folder else name
    for name in sorted(folders):
        yield from _names(storage, f"{folder}/{name}" if folder else name)


def _mail(text: str) -> None:
    """Send the lines to whoever keeps them; ids and hashes, nothing of a patient."""
    if not settings.AUDIT_ANCHOR_MAIL:
        return
    mail = EmailMessage(
        subject="X-Ray Portal: audit anchors",
        body=text,
        to=settings.AUDIT_ANCHOR_MAIL,
        connection=get_connection(timeout=_MAIL_SECONDS),
    )
    try:
        mail.send()
    except (SMTPException, OSError) as error:
        logger.warning("The mail with audit anchors did not leave: %s", type(error).__name__)
