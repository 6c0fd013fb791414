"""The result of one study as its page shows it to one person."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.db.models import F, FilteredRelation, Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.waiting import waiting_position
from xrayportal.audit.models import AuditEvent
from xrayportal.reviews.blind import with_revealed
from xrayportal.studies.models import Image, Study, Upload
from xrayportal.web.shared.failures import failure_of, unreadable_sentence
from xrayportal.web.shared.polling import Version
from xrayportal.web.shared.status import Status, status_of, waiting_status
from xrayportal.web.study.earlier import Beside, beside_of
from xrayportal.words import body_part_word, percent

#: While a study waits, its place in the line is shown anew this often.
PLACE_SECONDS = 5
EVENTS_SHOWN = 200
#: What the version holds of the newest analysis.
_NEWEST = ("newest__id", "newest__state", "newest__cancel_requested")

if TYPE_CHECKING:
    from xrayportal.reviews.blind import RevealedStudy


@dataclass(frozen=True)
class Part:
    """A body part with its share of the probability, both in words."""

    word: str
    share: str


@dataclass(frozen=True)
class View:
    """One image of the study; ``problem`` says why it has no picture."""

    number: int
    image: Image
    finding: Finding | None
    problem: str
    is_shown: bool

    @property
    def word(self) -> str:
        """``PA``, or its number."""
        return self.image.view_position or gettext("View %d") % self.number


@dataclass(frozen=True)
class StudyResult:
    """What ``study/_result.html`` needs; made by ``result_of``."""

    study: RevealedStudy
    revealed: bool
    view_number: int
    images: list[Image]
    findings: dict[uuid.UUID, Finding]
    latest: Analysis | None
    version: Version
    #: Another study of the same patient reference that is shown beside.
    beside: Beside | None = None

    @property
    def current(self) -> Analysis | None:
        """The newest succeeded primary analysis."""
        return self.study.current

    @property
    def tells(self) -> bool:
        """Whether the page shows a prediction."""
        return self.revealed and self.current is not None

    @property
    def hides(self) -> bool:
        """Whether there is a prediction that this person may not see yet."""
        return not self.revealed

    @property
    def polls(self) -> bool:
        """Whether something will change by itself."""
        if self.latest is None:
            return not self.study.submission.is_cancelled
        return not self.latest.is_finished

    @cached_property
    def status(self) -> Status | None:
        """What is going on, while something is."""
        if not self.polls:
            return None
        if self.latest is None:
            return status_of("")
        if self.latest.state == Analysis.State.QUEUED:
            return waiting_status(waiting_position(self.latest))
        return status_of(self.latest.state)

    @property
    def problem(self) -> str:
        """Why the newest analysis failed, if it did."""
        return failure_of(self.latest) if self.latest and self.latest.state == "failed" else ""

    @property
    def is_cancelled(self) -> bool:
        """The newest analysis was called off, or never came to be."""
        if self.latest is None:
            return not self.polls
        return self.latest.state == Analysis.State.CANCELLED

    @property
    def is_earlier(self) -> bool:
        """Something newer than the result that is shown was asked for."""
        return self.current is not None and (self.polls or bool(self.problem))

    @cached_property
    def views(self) -> list[View]:
        """The images in order, the one to show marked."""
        told = {
            row["image"]: unreadable_sentence(row)
            for row in (self.current.unreadable if self.current else [])
        }
        return [
            View(
                number,
                image,
                self.findings.get(image.pk),
                told.get(str(image.pk), ""),
                number == self.view_number,
            )
            for number, image in enumerate(self.images, start=1)
        ]

    @property
    def shown(self) -> View | None:
        """The view in the middle of the page."""
        return next((view for view in self.views if view.is_shown), None)

    @property
    def keeper(self) -> str:
        """The id of the viewer's place: the same id, the same picture with the same layers."""
        finding = self.shown.finding if self.shown else None
        if finding is None:
            return ""
        keeper = f"keep-{finding.pk}{'-blind' if self.hides else ''}"
        if self.beside:
            keeper += f"-{self.beside.finding.pk}{'' if self.beside.revealed else '-blind'}"
        return keeper

    @property
    def view_count(self) -> int:
        """How many images the study has."""
        return len(self.images)

    @property
    def body_parts(self) -> list[Part]:
        """The likeliest body part and its runner-up; nothing for what the bundle does not know."""
        if self.current is None or not self.current.body_part:
            return []
        ranked = sorted(self.current.body_parts.items(), key=lambda item: -item[1])
        chosen = [item for item in ranked if item[0] == self.current.body_part]
        others = [item for item in ranked if item[0] != self.current.body_part]
        return [Part(body_part_word(label), percent(share)) for label, share in (chosen + others)[:2]]

    @property
    def trust_words(self) -> str:
        """Whether the answer depends on the area that the map marks, for the view that is shown."""
        finding = self.shown.finding if self.shown else None
        if finding is None or finding.trust is None or self.current is None:
            return ""
        if finding.trust < self.current.bundle.manifest["trust"]["weak_below"]:
            return gettext("Weak: treat the map with care.")
        return gettext("The model's answer depends on the marked area.")

    @property
    def milliseconds(self) -> int:
        """Time spent on the analysis, all stages and views together."""
        return round(sum(self.current.milliseconds.values())) if self.current else 0


@dataclass(frozen=True)
class History:
    """What ``study/_history.html`` needs."""

    analyses: list[Analysis]
    events: list[AuditEvent]
    revealed: bool
    shows_events: bool
    has_more: bool


def study_or_404(access: ClinicAccess, pk: uuid.UUID) -> RevealedStudy:
    """One of this person's studies with what its version needs, or Http404."""
    newest = {name.replace("__", "_"): F(name) for name in _NEWEST}
    studies = _with_newest(access, pk).annotate(**newest).select_related("current__bundle", "submission")
    found = cast("RevealedStudy | None", studies.first())
    if found is None:
        raise Http404("Not found.")
    return found


def polled_version(access: ClinicAccess, pk: uuid.UUID) -> Version:
    """``version_of`` without loading the study: all that an idle poll asks. Http404 as ``study_or_404``."""
    values = _with_newest(access, pk).values_list("state", "submission__state", *_NEWEST, "revealed").first()
    if values is None:
        raise Http404("Not found.")
    return _version(*values)


def version_of(study: RevealedStudy) -> Version:
    """The version of the result, for the address of the next poll."""
    newest, state, cancel_requested = (getattr(study, name.replace("__", "_")) for name in _NEWEST)
    revealed = study.revealed
    return _version(study.state, study.submission.state, newest, state, cancel_requested, revealed)


def _with_newest(access: ClinicAccess, pk: uuid.UUID) -> QuerySet[Study]:
    newest = FilteredRelation("analyses", condition=Q(analyses__purpose=Analysis.Purpose.PRIMARY))
    studies = with_revealed(access, access.studies().filter(pk=pk)).annotate(newest=newest)
    return studies.order_by(F("newest__requested_at").desc(nulls_last=True))


def _version(
    state: str,
    submission: str,
    newest: uuid.UUID | None,
    newest_state: str | None,
    cancel_requested: bool | None,
    revealed: bool,
) -> Version:
    """Has a clock while the study waits, because its place in the line changes without any event of it."""
    is_waiting = newest_state == Analysis.State.QUEUED
    clock = str(int(timezone.now().timestamp()) // PLACE_SECONDS) if is_waiting else ""
    values = (state, submission, newest, newest_state, bool(cancel_requested), revealed)
    return Version.of_values(*values, clock=clock)


def result_of(
    access: ClinicAccess, study: RevealedStudy, view: str | None, beside: str | None = None
) -> StudyResult:
    """Gather the result of a study from ``study_or_404``; five queries at most, seven with one beside."""
    images = list(study.images.all())
    latest = study.analyses.primary().order_by("-requested_at").first()
    findings = {found.image_id: found for found in study.current.findings.all()} if study.current else {}
    number = int(view) if view and view.isascii() and view.isdigit() and len(view) < 6 else 1
    return StudyResult(
        study=study,
        revealed=study.revealed,
        view_number=min(max(number, 1), max(len(images), 1)),
        images=images,
        findings=findings,
        latest=latest,
        version=version_of(study),
        beside=beside_of(access, study, beside) if beside else None,
    )


def title_of(study: Study) -> str:
    """What people call the study: its patient reference, else the name of the first file that came."""
    if study.patient_reference:
        return study.patient_reference
    names = (
        Upload.objects.filter(image__study=study).order_by("created_at").values_list("filename", flat=True)
    )
    return names.first() or str(study.pk)


def history_of(access: ClinicAccess, study: RevealedStudy) -> History:
    """The study's analyses, newest first, and for readers and admins who did what; two queries.

    Three where the prediction is hidden: an analysis with a part that somebody corrected would tell that
    the predicted one was another.
    """
    revealed: bool = study.revealed
    shows_events = access.may(Permission.SEE_ALL)
    analyses = study.analyses.primary().select_related("bundle", "requested_by")
    events = AuditEvent.objects.filter(study_id=study.pk, clinic=access.clinic).order_by("-id")
    if not revealed:
        own = Q(forced_body_part__in=["", study.stated_body_part])
        corrected = [str(pk) for pk in study.analyses.exclude(own).values_list("pk", flat=True)]
        analyses, events = analyses.filter(own), events.exclude(target_id__in=corrected)
    found = list(events[: EVENTS_SHOWN + 1]) if shows_events else []
    return History(
        analyses=list(analyses.order_by("-requested_at")),
        events=found[:EVENTS_SHOWN],
        revealed=revealed,
        shows_events=shows_events,
        has_more=len(found) > EVENTS_SHOWN,
    )
