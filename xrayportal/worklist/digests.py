"""Digests: one message when a submission is done, as a notice on the sender's next page and by e-mail.

The mail holds counts and a link, and nothing of a patient.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import Exists, F, OuterRef, Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Analysis
from xrayportal.clinics.mail import has_mail_server
from xrayportal.clinics.models import User
from xrayportal.studies.models import Study, Submission
from xrayportal.worklist.models import Digest
from xrayportal.worklist.progress import progress_of

logger = logging.getLogger(__name__)

_PER_ROUND = 50
#: The reconciler must not wait long for a mail server: seconds for one answer, and for all mails of a round.
_MAIL_SECONDS = 10
_ROUND_SECONDS = 5.0
#: A mail that could not be sent is tried again this long after it was due; then it is given up.
_AGAIN_AFTER = [timedelta(), *(timedelta(minutes=minutes) for minutes in (3, 15, 60, 240))]
_NOTICES = 5
#: Older digests are not mailed, also where a mail server was configured only now.
_NEWS = timedelta(days=1)


def make_ready() -> int:
    """Fill in the digests of submissions that are done; returns how many. Drops those of cancelled ones."""
    Digest.objects.filter(ready_at__isnull=True, submission__state=Submission.State.CANCELLED).delete()
    receiving = Study.objects.open().filter(submission=OuterRef("submission"))
    unfinished = Analysis.objects.primary().unfinished().filter(study__submission=OuterRef("submission"))
    done = Digest.objects.filter(~Exists(receiving), ~Exists(unfinished), ready_at__isnull=True)
    digests = list(done.select_related("submission")[:_PER_ROUND])
    for digest in digests:
        progress = progress_of(digest.submission)
        Digest.objects.filter(pk=digest.pk, ready_at__isnull=True).update(
            studies=progress.studies,
            done=progress.done,
            failed=progress.failed,
            rejected=progress.rejected,
            ready_at=timezone.now(),
        )
    return len(digests)


def send_mails() -> int:
    """Mail the digests that are ready and were not mailed; returns how many.

    Each is marked before it is sent: a crash in between loses a mail, and never sends one twice.
    """
    if not settings.PUBLIC_URL or not has_mail_server():
        return 0
    due = Digest.objects.filter(_is_due(), mailed_at__isnull=True, ready_at__gt=timezone.now() - _NEWS)
    sent, end = 0, time.monotonic() + _ROUND_SECONDS
    for digest in due.select_related("user", "clinic").order_by("ready_at")[:_PER_ROUND]:
        unsent = Digest.objects.filter(pk=digest.pk, mailed_at__isnull=True)
        if not unsent.update(mailed_at=timezone.now(), mail_attempts=F("mail_attempts") + 1):
            continue
        try:
            _mail(digest).send()
        except OSError as error:
            # The errors of smtplib are OSErrors. The notice on the page says the same as the mail.
            logger.warning("The mail for submission %s did not leave: %s", digest.pk, type(error).__name__)
            Digest.objects.filter(pk=digest.pk).update(mailed_at=None)
            break
        sent += 1
        if time.monotonic() > end:
            break
    return sent


def take_notices(user: User) -> list[Digest]:
    """The digests that this person has not seen, oldest first; marks them as seen. One query if none."""
    ready = Digest.objects.filter(user=user, ready_at__isnull=False, seen_at__isnull=True)
    if not ready.exists():
        return []
    unseen = list(ready.select_related("clinic").order_by("ready_at")[:_NOTICES])
    if unseen:
        Digest.objects.filter(pk__in=[digest.pk for digest in unseen]).update(seen_at=timezone.now())
    return unseen


def note_seen(submission: Submission, user: User) -> None:
    """Mark the digest as seen: the sender saw on the submission's page that it is done."""
    Digest.objects.filter(submission=submission, user=user, seen_at__isnull=True).update(
        seen_at=timezone.now()
    )


def _is_due() -> Q:
    """Whether a mail is due, by its attempts so far: a mail server may be away for some hours."""
    now, due = timezone.now(), Q(pk__in=[])
    for attempts, pause in enumerate(_AGAIN_AFTER):
        due |= Q(mail_attempts=attempts, ready_at__lte=now - pause)
    return due


def _mail(digest: Digest) -> EmailMessage:
    address = settings.PUBLIC_URL + reverse("submission", args=[digest.clinic.slug, digest.submission_id])
    return EmailMessage(
        subject=_("Your submission is done"),
        body=render_to_string("worklist/mail/digest.txt", {"digest": digest, "address": address}),
        to=[digest.user.email],
        connection=get_connection(timeout=_MAIL_SECONDS),
    )
