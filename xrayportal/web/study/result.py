"""The result of one study as its page shows it to one person."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import Http404
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext

from xrayportal.access import ClinicAccess
from xrayportal.analyses.claims import claim_basis_words, claim_words, location_words
from xrayportal.analyses.models import Analysis, Bundle, Finding
from xrayportal.analyses.queue.waiting import waiting_position
from xrayportal.reviews.blind import with_revealed
from xrayportal.studies.models import Image, Study, Upload
from xrayportal.web.shared.failures import failure_of, unreadable_sentence
from xrayportal.web.shared.polling import Version
from xrayportal.web.shared.status import Status, status_of, waiting_status
from xrayportal.web.study.earlier import ComparisonStudy, comparison_of
from xrayportal.web.study.version import version_of
from xrayportal.words.figures import format_beside, percent
from xrayportal.words.notes import note_sentences
from xrayportal.words.verdicts import body_part_word

if TYPE_CHECKING:
    from xrayportal.reviews.blind import RevealedStudy


@dataclass(frozen=True)
class BodyPartShare:
    """A body part and its share of the probability, both in words."""

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
    #: The address's query that shows this view, and the view's own probability where it may be known.
    query: str = ""
    figure: str = ""

    @property
    def word(self) -> str:
        """The view position, such as ``PA``, or else the view's number."""
        return self.image.view_position or gettext("View %d") % self.number


@dataclass(frozen=True)
class StudyResult:
    """The context of ``study/_result.html``, made by ``result_of``."""

    study: RevealedStudy
    revealed: bool
    view_number: int
    images: list[Image]
    findings: dict[uuid.UUID, Finding]
    latest: Analysis | None
    version: Version
    #: Another study of the same patient reference, shown beside this one.
    comparison: ComparisonStudy | None = None
    #: The id of the reading session that the study is part of, for the links of the page.
    reading: str = ""

    @property
    def current(self) -> Analysis | None:
        """The newest succeeded primary analysis."""
        return self.study.current

    @property
    def shows_prediction(self) -> bool:
        """Whether the page shows a prediction."""
        return self.revealed and self.current is not None

    @property
    def hides_prediction(self) -> bool:
        """Whether a prediction is kept back from this person, also one that may still come."""
        return not self.revealed

    @property
    def polls(self) -> bool:
        """Whether the result will change without anybody's doing, so that the page polls."""
        if self.latest is None:
            return not self.study.submission.is_cancelled
        return not self.latest.is_finished

    @cached_property
    def status(self) -> Status | None:
        """The status of the newest analysis while it waits or runs, else None."""
        if not self.polls:
            return None
        if self.latest is None:
            return status_of("")
        if self.latest.state == Analysis.State.QUEUED:
            return waiting_status(waiting_position(self.latest))
        return status_of(self.latest.state)

    @property
    def problem(self) -> str:
        """The sentence why the newest analysis failed; empty unless it did."""
        return failure_of(self.latest) if self.latest and self.latest.state == "failed" else ""

    @property
    def is_cancelled(self) -> bool:
        """Whether the newest analysis was called off, or the submission before its first analysis."""
        if self.latest is None:
            return not self.polls
        return self.latest.state == Analysis.State.CANCELLED

    @property
    def is_earlier(self) -> bool:
        """Whether a newer analysis than the one that is shown was requested."""
        return self.current is not None and (self.polls or bool(self.problem))

    @cached_property
    def views(self) -> list[View]:
        """The images in order, with the one to show marked."""
        problems = {
            row["image"]: unreadable_sentence(row)
            for row in (self.current.unreadable if self.current else [])
        }
        return [
            View(
                number,
                image,
                self.findings.get(image.pk),
                problems.get(str(image.pk), ""),
                number == self.view_number,
                self._query(number),
                self._figure(self.findings.get(image.pk)),
            )
            for number, image in enumerate(self.images, start=1)
        ]

    @property
    def query(self) -> str:
        """The address's query that shows the page as it is."""
        return self._query(self.view_number)

    @property
    def query_alone(self) -> str:
        """The same without the comparison."""
        return self._query(self.view_number, compares=False)

    def _query(self, number: int, *, compares: bool = True) -> str:
        beside = str(self.comparison.study.pk) if self.comparison and compares else ""
        named = {"view": str(number), "beside": beside, "reading": self.reading}
        return urlencode({name: value for name, value in named.items() if value})

    def _figure(self, finding: Finding | None) -> str:
        if finding is None or self.current is None or not self.revealed:
            return ""
        thresholds = (self.current.threshold_low, self.current.threshold_high)
        return format_beside(finding.probability, *thresholds)[0]

    @property
    def shown_view(self) -> View | None:
        """The view in the middle of the page."""
        return next((view for view in self.views if view.is_shown), None)

    @property
    def notes(self) -> list[str]:
        """What was left out or changed to show the picture in the middle of the page, as sentences."""
        finding = self.shown_view.finding if self.shown_view else None
        return note_sentences(finding.notes) if finding else []

    @property
    def viewer_id(self) -> str:
        """The id of the viewer's element: while it stays the same, the page keeps the viewer as it is.

        It names the pictures and whether their heatmaps are shown.
        """
        finding = self.shown_view.finding if self.shown_view else None
        if finding is None:
            return ""
        viewer_id = f"keep-{finding.pk}{'-blind' if self.hides_prediction else ''}"
        if self.comparison:
            viewer_id += f"-{self.comparison.finding.pk}{'' if self.comparison.revealed else '-blind'}"
        return viewer_id

    @property
    def view_count(self) -> int:
        """How many images the study has."""
        return len(self.images)

    @property
    def body_parts(self) -> list[BodyPartShare]:
        """The body part of the result and the next likeliest; empty for an unsupported study."""
        if self.current is None or not self.current.body_part:
            return []
        ranked = sorted(self.current.body_parts.items(), key=lambda item: -item[1])
        chosen = [item for item in ranked if item[0] == self.current.body_part]
        others = [item for item in ranked if item[0] != self.current.body_part]
        return [
            BodyPartShare(body_part_word(label), percent(share)) for label, share in (chosen + others)[:2]
        ]

    @property
    def claim(self) -> str:
        """What the result means; empty where nothing was measured."""
        return claim_words(self.current) if self.current else ""

    @property
    def claim_basis(self) -> str:
        """Where the claim was measured, and the prevalence that it holds for."""
        return claim_basis_words(self.current) if self.current else ""

    @property
    def location_words(self) -> str:
        """What the heatmap of the view that is shown is worth; empty where it has none."""
        finding = self.shown_view.finding if self.shown_view else None
        return location_words(finding, self.current) if self.current else ""

    @property
    def draws_attention(self) -> bool:
        """Whether the view that is shown has a heatmap, which metal and casts attract."""
        finding = self.shown_view.finding if self.shown_view else None
        return finding is not None and finding.has_heatmap

    @property
    def milliseconds(self) -> int:
        """The milliseconds of the analysis, over all stages and views."""
        return round(sum(self.current.milliseconds.values())) if self.current else 0


def study_or_404(access: ClinicAccess, pk: uuid.UUID) -> RevealedStudy:
    """A study that this person may see, with its result and its submission. Raises Http404."""
    studies = with_revealed(access, access.studies().filter(pk=pk))
    row = studies.select_related("current__bundle", "submission").first()
    if row is None:
        raise Http404("Not found.")
    return row


def result_of(
    access: ClinicAccess,
    study: RevealedStudy,
    view: str | None,
    beside: str | None = None,
    reading: str | None = None,
) -> StudyResult:
    """The result of a study from ``study_or_404``; five queries at most, seven with a comparison.

    ``view`` is the number of the view to show, ``beside`` the id of a study to compare with, ``reading`` that
    of a reading session, all as in the address. Without ``view`` it is the one with the strongest evidence,
    or the first one as long as the prediction is hidden.
    """
    images = list(study.images.all())
    latest = _latest(study)
    findings = {row.image_id: row for row in study.current.findings.all()} if study.current else {}
    is_number = view and view.isascii() and view.isdigit() and len(view) < 6
    number = int(view) if view and is_number else _strongest(images, findings) if study.revealed else 1
    return StudyResult(
        study=study,
        revealed=study.revealed,
        view_number=min(max(number, 1), max(len(images), 1)),
        images=images,
        findings=findings,
        latest=latest,
        version=version_of(study, latest),
        comparison=comparison_of(access, study, beside) if beside else None,
        reading=_id(reading),
    )


def _latest(study: Study) -> Analysis | None:
    """The newest primary analysis: mostly the current result, which is loaded already."""
    newest = study.analyses.primary().order_by("-requested_at")
    pk = newest.values_list("pk", flat=True).first()
    return study.current if study.current is not None and study.current.pk == pk else newest.first()


def _strongest(images: list[Image], findings: dict[uuid.UUID, Finding]) -> int:
    """The number of the view with the highest probability; 1 where none has one."""
    return strongest([findings.get(image.pk) for image in images]) + 1


def strongest(findings: Sequence[Finding | None]) -> int:
    """The index of the finding with the highest probability, the first of equals; 0 where none has one."""
    values = [(finding.probability or 0.0) if finding else 0.0 for finding in findings]
    return max(range(len(values)), key=lambda at: (values[at], -at), default=0)


def _id(text: str | None) -> str:
    """The id that ``text`` is, in its usual form; empty for any other text."""
    try:
        return str(uuid.UUID(text or ""))
    except ValueError:
        return ""


def title_of(study: Study) -> str:
    """The study's title: its patient reference, else the name of its first file."""
    if study.patient_reference:
        return study.patient_reference
    names = (
        Upload.objects.filter(image__study=study).order_by("created_at").values_list("filename", flat=True)
    )
    return names.first() or str(study.pk)


def active_bundle_of(study: Study) -> Bundle | None:
    """The active bundle: mostly the one of the study's result, which is loaded already."""
    if study.current is not None and study.current.bundle.is_active:
        return study.current.bundle
    return Bundle.objects.active().first()


def known_body_parts_of(study: Study, active: Bundle | None) -> list[str]:
    """The body parts that may be stated of the study: those of the active bundle, and the stated one."""
    known = active.body_parts if active else []
    stated = [study.stated_body_part] if study.stated_body_part else []
    return [*known, *(one for one in stated if one not in known)]
