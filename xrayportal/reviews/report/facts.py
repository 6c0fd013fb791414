"""The content of the report, gathered from the database in a constant number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from xrayportal.analyses.claims import claim_basis_words, claim_words, location_words
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.clinics.models import Clinic
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study
from xrayportal.words import figures, verdicts
from xrayportal.words.notes import note_sentences


@dataclass(frozen=True)
class ViewFact:
    """One view: its number on the page, its outcome and its probability in words."""

    number: int
    verdict: str
    probability: str


@dataclass(frozen=True)
class PrintedView:
    """The view whose picture is printed; without files, and with the number 0, where no view has any."""

    #: Its number among the views.
    number: int = 0
    #: Storage names; empty for none.
    display_file: str = ""
    overlay_file: str = ""
    #: What the heatmap is worth, in words.
    location: str = ""
    #: Of the heatmap, x and y in displayed pixels.
    peak: tuple[int, int] | None = None
    #: What was left out or changed to show the picture.
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ReviewFact:
    """One reader's current signed review."""

    who: str
    kind: str
    verdict: str
    body_part: str
    signed: str
    comment: str


@dataclass(frozen=True)
class Facts:
    """Everything on the page, in words; numbers only where something is drawn from them."""

    clinic: str
    printed: str
    reference: str
    study: str
    sent: str
    body_part: str
    #: A code of ``analyses.outcomes``.
    outcome: str
    verdict: str
    #: What the verdict means, and where that was measured; may be empty.
    claim: str
    probability: float | None
    low: float
    high: float
    #: The same three in words.
    figures: list[str]
    by_clinic: bool
    printed_view: PrintedView
    bundle: str
    made: str
    review_status: str
    incomplete: str
    views: list[ViewFact] = field(default_factory=list)
    reviews: list[ReviewFact] = field(default_factory=list)


def facts_of(study: Study, *, clinic: Clinic, with_reviews: bool = True) -> Facts:
    """The report's content for a study with a current result. Raises ValueError without one.

    ``with_reviews=False`` leaves the readers out, for people who see no reviews on any page.
    """
    analysis = study.current
    if analysis is None:
        raise ValueError("A report needs a result.")
    manifest = analysis.bundle.manifest
    findings = list(analysis.findings.select_related("image").order_by("image__created_at", "image"))
    return Facts(
        clinic=clinic.name,
        printed=_moment(timezone.now()),
        reference=study.patient_reference or _("not given"),
        study=str(study.pk),
        sent=_moment(study.created_at),
        body_part=verdicts.body_part_word(analysis.forced_body_part or analysis.body_part) or _("not given"),
        outcome=outcome_of(analysis),
        verdict=verdicts.verdict_word(manifest, outcome_of(analysis)),
        claim=" ".join(filter(None, [claim_words(analysis), claim_basis_words(analysis)])),
        probability=analysis.probability,
        figures=_figures(analysis.probability, analysis),
        low=analysis.threshold_low,
        high=analysis.threshold_high,
        by_clinic=analysis.thresholds_by_clinic,
        printed_view=_printed_view(findings, analysis),
        bundle=analysis.bundle.name,
        made=_made(analysis),
        review_status=_review_status(study, manifest) if with_reviews else "",
        incomplete=_incomplete(analysis),
        views=[
            ViewFact(
                number,
                verdicts.verdict_word(manifest, outcome_of(row)),
                _figures(row.probability, analysis)[0],
            )
            for number, row in enumerate(findings, start=1)
        ],
        reviews=_reviews(study, manifest) if with_reviews else [],
    )


def _figures(probability: float | None, analysis: Analysis) -> list[str]:
    return figures.format_beside(probability, analysis.threshold_low, analysis.threshold_high)


def _printed_view(findings: Sequence[Finding], analysis: Analysis) -> PrintedView:
    """The most suspicious one, the first of equals."""
    if not findings:
        return PrintedView()
    number, finding = max(enumerate(findings, start=1), key=lambda row: (row[1].probability or -1.0, -row[0]))
    return PrintedView(
        number=number,
        display_file=finding.display_file,
        overlay_file=finding.overlay_file,
        location=location_words(finding, analysis),
        peak=_peak(finding),
        notes=note_sentences(finding.notes),
    )


def _reviews(study: Study, manifest: dict[str, object]) -> list[ReviewFact]:
    """The current signed reviews, in the order of their signatures; one query."""
    signed = Review.objects.filter(study=study, is_current=True, signed_at__isnull=False)
    return [
        ReviewFact(
            who=str(review.reader),
            kind=str(review.get_kind_display()),
            verdict=verdicts.verdict_word(manifest, review.verdict),
            body_part=verdicts.body_part_word(review.body_part),
            signed=_moment(review.signed_at) if review.signed_at else "",
            comment=review.comment,
        )
        for review in signed.select_related("reader").order_by("signed_at", "pk")
    ]


def _made(analysis: Analysis) -> str:
    return _("Analysed %(at)s, %(runtime)s %(precision)s, software %(software)s") % {
        "at": _moment(analysis.finished_at or analysis.requested_at),
        "runtime": analysis.runtime,
        "precision": analysis.precision,
        "software": analysis.software,
    }


def _peak(finding: Finding) -> tuple[int, int] | None:
    if finding.peak_x is None or finding.peak_y is None:
        return None
    return finding.peak_x, finding.peak_y


def _moment(at: datetime) -> str:
    local = timezone.localtime(at)
    pattern = _("j F Y, H:i")
    return f"{date_format(local, pattern)} {local.tzname()}"


def _incomplete(analysis: Analysis) -> str:
    if not analysis.unreadable:
        return ""
    return _("Incomplete: %(bad)d of %(all)d views could not be analysed") % {
        "bad": len(analysis.unreadable),
        "all": analysis.views,
    }


def _review_status(study: Study, manifest: dict[str, object]) -> str:
    consensus = Consensus.objects.filter(study=study).first()
    if consensus is None or consensus.state == Consensus.State.OPEN:
        return _("No reader has signed a review of this study.")
    if consensus.state == Consensus.State.DISAGREED:
        return _("The signed verdicts differ; nobody has decided yet.")
    verdict = verdicts.verdict_word(manifest, consensus.verdict)
    if consensus.state == Consensus.State.ADJUDICATED:
        return _("Decided by adjudication: %(verdict)s") % {"verdict": verdict}
    return _("Signed verdict: %(verdict)s") % {"verdict": verdict}
