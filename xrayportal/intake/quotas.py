"""How much a clinic and a person may send: files a day, bytes stored, studies waiting; one rule for all.

Browsers, the API and DICOM all end in ``ingest_file``, which asks here. Files that were sent are counted in
the transaction that stores them; what is stored and waits is counted at most every few seconds, so that many
senders at one moment may pass a limit by what they send in that time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Analysis
from xrayportal.studies.models import Image, Submission
from xrayportal.words.figures import size_words

if TYPE_CHECKING:
    from xrayportal.intake.ingest import IncomingFile

#: Seconds for which what waits and what is stored is not counted anew.
_WAITING_FOR, _STORED_FOR = 2, 30
#: When to try again, in seconds: a queue moves on, storage is freed by people.
_AFTER_WAITING, _AFTER_STORED = 60, 3600


class QuotaExceededError(OSError):
    """A file is not taken because of a limit: nothing is stored, and the same key may be sent again later.

    ``str(error)`` is a sentence for people, ``retry_after`` says in how many seconds to try again.
    """

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


def check_quotas(incoming: IncomingFile) -> None:
    """Raise `QuotaExceededError` where one more file is too much; the operator's own command has no limit."""
    if incoming.submission.source == Submission.Source.COMMAND:
        return
    _check_files(incoming)
    _check_waiting(incoming)
    _check_stored(incoming)


def count_file(incoming: IncomingFile) -> None:
    """Count one file of today, in the transaction that stores its outcome."""
    user = incoming.actor.user
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO studies_usage (clinic_id, user_id, day, files) VALUES (%s, %s, %s, 1) "
            "ON CONFLICT (clinic_id, user_id, day) DO UPDATE SET files = studies_usage.files + 1",
            [incoming.clinic.pk, user.pk if user else None, _today()],
        )


def _check_files(incoming: IncomingFile) -> None:
    most_of_clinic, most_of_person = settings.QUOTA_CLINIC_FILES_A_DAY, settings.QUOTA_PERSON_FILES_A_DAY
    if not most_of_clinic and not most_of_person:
        return
    user = incoming.actor.user
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(files), 0), "
            "coalesce(sum(files) FILTER (WHERE user_id IS NOT DISTINCT FROM %s), 0) "
            "FROM studies_usage WHERE clinic_id = %s AND day = %s",
            [user.pk if user else None, incoming.clinic.pk, _today()],
        )
        of_clinic, of_person = cursor.fetchone()
    if most_of_person and of_person >= most_of_person:
        sentence = _("You have sent %(most)d files today, which is the limit. Go on after midnight (UTC).")
        raise QuotaExceededError(sentence % {"most": most_of_person}, _until_midnight())
    if most_of_clinic and of_clinic >= most_of_clinic:
        sentence = _("Your clinic sent %(most)d files today, which is the limit. Go on after midnight (UTC).")
        raise QuotaExceededError(sentence % {"most": most_of_clinic}, _until_midnight())


def _check_waiting(incoming: IncomingFile) -> None:
    most_of_clinic, most_of_person = settings.QUOTA_CLINIC_WAITING, settings.QUOTA_PERSON_WAITING
    if not most_of_clinic and not most_of_person:
        return
    user = incoming.actor.user
    key = f"quota.waiting.{incoming.clinic.pk}.{user.pk if user else ''}"
    counts = cache.get(key)
    if counts is None:
        queued = Analysis.objects.filter(clinic=incoming.clinic, state=Analysis.State.QUEUED)
        counts = queued.aggregate(clinic=Count("pk"), person=Count("pk", filter=Q(requested_by=user)))
        cache.set(key, counts, _WAITING_FOR)
    is_over = (most_of_person and counts["person"] >= most_of_person) or (
        most_of_clinic and counts["clinic"] >= most_of_clinic
    )
    if is_over:
        sentence = _("Too many studies are waiting to be analysed. Go on when some of them are done.")
        raise QuotaExceededError(sentence, _AFTER_WAITING)


def _check_stored(incoming: IncomingFile) -> None:
    most = settings.QUOTA_CLINIC_BYTES
    if not most:
        return
    key = f"quota.stored.{incoming.clinic.pk}"
    stored = cache.get(key)
    if stored is None:
        stored = Image.objects.filter(clinic=incoming.clinic).aggregate(n=Sum("size", default=0))["n"]
        cache.set(key, stored, _STORED_FOR)
    if stored + incoming.size > most:
        sentence = _(
            "The clinic's studies take up %(most)s, which is the limit. Delete some, or ask for more storage."
        )
        raise QuotaExceededError(sentence % {"most": size_words(most)}, _AFTER_STORED)


def _today() -> str:
    return timezone.now().astimezone(UTC).date().isoformat()


def _until_midnight() -> int:
    now = timezone.now().astimezone(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return max(1, int((midnight - now).total_seconds()))
