"""The events by which people, programs and other systems got to see a study, found for an admin."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess
from xrayportal.audit.models import Action, AuditEvent

#: Characters of a study's id or a reference that are looked for.
LONGEST_TEXT = 64
#: More studies of one reference are a mistake in the reference.
MOST_STUDIES = 500

#: Of one study: what its actor got to see.
_WORDS: dict[str, Promise] = {
    Action.STUDY_VIEWED: _("Viewed the study"),
    Action.IMAGE_VIEWED: _("Downloaded an image file"),
    Action.REVIEW_SAVED: _("Saved a review"),
    Action.REVIEW_SIGNED: _("Signed a review"),
    Action.RESULT_SENT: _("Got the result over DICOM"),
}
_REVEALED = _("Viewed the study with its prediction")
#: Kinds of ``exported``, the last of all studies that some filters matched.
_EXPORTS: dict[str, Promise] = {
    "report": _("Printed the report"),
    "submission-csv": _("Exported the results of its submission"),
    "submission-zip": _("Exported its submission with images"),
    "history": _("Exported the history, which may contain it"),
}
_OTHER_EXPORT = _("Exported data")


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One line: an event and, in words, what its actor got to see.

    ``study`` is None where the event is about several. ``is_certain`` is False for an export of which the
    audit keeps the kinds of its filters alone.
    """

    event: AuditEvent
    words: Promise
    study: uuid.UUID | None
    is_certain: bool


@dataclass(frozen=True)
class AccessReport:
    """All that an admin asked for: ``studies`` by id, oldest first; ``deleted``: they are there no more."""

    text: str
    studies: list[uuid.UUID]
    #: The reference that was asked for, empty where a study was.
    patient_reference: str
    deleted: bool
    events: QuerySet[AuditEvent]
    #: Whether there are more than ``MOST_STUDIES``, the oldest of which these are.
    is_cut: bool = False

    def disclosures(self, events: QuerySet[AuditEvent] | list[AuditEvent]) -> Iterator[Disclosure]:
        """Lines of some of ``events``, in the same order."""
        rows = events if isinstance(events, list) else events.iterator(chunk_size=2000)
        return (_disclosure(event) for event in rows)


def report_of(access: ClinicAccess, text: str) -> AccessReport | None:
    """The report about a study's id or a patient reference of this clinic; None where there is none such.

    A deleted study is found by its id: who saw it stays known. Its reference went with it. Three queries.
    """
    text = text.strip()[:LONGEST_TEXT]
    try:
        pk = uuid.UUID(text)
    except ValueError:
        found, reference = access.studies().filter(patient_reference=text), text
    else:
        found, reference = access.studies().filter(pk=pk), ""
    facts = found.order_by("created_at", "pk").values_list("pk", "submission", "created_at")
    rows = list(facts[: MOST_STUDIES + 1]) if text else []
    is_cut = len(rows) > MOST_STUDIES
    if rows := rows[:MOST_STUDIES]:
        studies = [row[0] for row in rows]
        events = _events(access, studies, {str(row[1]) for row in rows}, since=rows[0][2])
        return AccessReport(text, studies, reference, deleted=False, events=events, is_cut=is_cut)
    return _of_deleted(access, text, pk) if text and not reference else None


def _of_deleted(access: ClinicAccess, text: str, study: uuid.UUID) -> AccessReport | None:
    known = AuditEvent.objects.filter(clinic=access.clinic, study_id=study)
    deletion = known.filter(action=Action.STUDY_DELETED).first()
    if deletion is None:
        return None
    submissions = {deletion.detail["submission"]} if "submission" in deletion.detail else set()
    since = known.aggregate(at=Min("at"))["at"]
    events = _events(access, [study], submissions, since=since).filter(number__lt=deletion.number)
    return AccessReport(text, [study], "", deleted=True, events=events)


def _events(
    access: ClinicAccess, studies: list[uuid.UUID], submissions: set[str], *, since: datetime
) -> QuerySet[AuditEvent]:
    """The events, newest first, in the order of the chain."""
    seen = Q(study_id__in=studies, action__in=[*_WORDS, Action.EXPORTED])
    of_submission = Q(action=Action.EXPORTED, target_kind="submission", target_id__in=submissions)
    of_many = Q(action=Action.EXPORTED, detail__kind="history", at__gte=since)
    return AuditEvent.objects.filter(seen | of_submission | of_many, clinic=access.clinic).order_by("-number")


def _disclosure(event: AuditEvent) -> Disclosure:
    if event.action == Action.EXPORTED:
        kind = event.detail.get("kind", "")
        return Disclosure(event, _EXPORTS.get(kind, _OTHER_EXPORT), event.study_id, kind != "history")
    if event.action == Action.STUDY_VIEWED and event.detail.get("revealed"):
        return Disclosure(event, _REVEALED, event.study_id, True)
    return Disclosure(event, _WORDS[event.action], event.study_id, True)
