"""The content of the report, gathered from the database in a constant number of queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Analysis, Finding, Verdict
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.clinics.models import Clinic
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study
from xrayportal.words import claims, figures, verdicts
from xrayportal.words.notes import note_sentences


@dataclass(frozen=True)
class ViewFact:
    """One view: its number on the page, its outcome and its probability in words."""

    number: int
    verdict: str
    probability: str


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
    #: Storage names of the view that is printed; empty where there is none.
    display_file: str
    overlay_file: str
    #: Its number among the views.
    printed_view: int
    #: Displayed pixels.
    width: int
    height: int
    location: str
    #: Of the heatmap that is printed, in displayed pixels.
    peak: tuple[int, int] | None
    bundle: str
    made: str
    review_status: str
    incomplete: str
    #: What was left out or changed to show the printed view.
    notes: list[str]
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
    findings = list(
        Finding.objects.filter(analysis=analysis)
        .select_related("image")
        .order_by("image__created_at", "image")
    )
    # The most suspicious view is printed.
    number, finding = max(
        enumerate(findings, start=1), key=lambda row: (row[1].probability or -1.0, -row[0]), default=(0, None)
    )
    current = (
        Review.objects.filter(study=study, is_current=True, signed_at__isnull=False)
        .select_related("reader")
        .order_by("signed_at", "pk")
    )
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
        figures=figures.format_beside(analysis.probability, analysis.threshold_low, analysis.threshold_high),
        low=analysis.threshold_low,
        high=analysis.threshold_high,
        by_clinic=analysis.thresholds_by_clinic,
        display_file=finding.display_file if finding else "",
        overlay_file=finding.overlay_file if finding else "",
        printed_view=number,
        width=finding.width if finding else 0,
        height=finding.height if finding else 0,
        location=location_words(finding, analysis),
        peak=_peak(finding),
        bundle=analysis.bundle.name,
        made=_("Analysed %(at)s, %(runtime)s %(precision)s, software %(software)s")
        % {
            "at": _moment(analysis.finished_at or analysis.requested_at),
            "runtime": analysis.runtime,
            "precision": analysis.precision,
            "software": analysis.software,
        },
        review_status=_review_status(study, manifest) if with_reviews else "",
        incomplete=_incomplete(analysis),
        notes=note_sentences(finding.notes) if finding else [],
        views=[
            ViewFact(
                i,
                verdicts.verdict_word(manifest, outcome_of(row)),
                figures.format_beside(row.probability, analysis.threshold_low, analysis.threshold_high)[0],
            )
            for i, row in enumerate(findings, start=1)
        ],
        reviews=[
            ReviewFact(
                who=str(review.reader),
                kind=str(review.get_kind_display()),
                verdict=verdicts.verdict_word(manifest, review.verdict),
                body_part=verdicts.body_part_word(review.body_part),
                signed=_moment(review.signed_at) if review.signed_at else "",
                comment=review.comment,
            )
            for review in (current if with_reviews else [])
        ],
    )


def claim_words(analysis: Analysis) -> str:
    """What the result means; empty where nothing was measured."""
    return claims.claim(
        analysis.bundle.manifest,
        outcome_of(analysis),
        body_part=analysis.forced_body_part or analysis.body_part,
        by_clinic=analysis.thresholds_by_clinic,
        is_raised=is_raised(analysis),
    )


def claim_basis_words(analysis: Analysis) -> str:
    """Where ``claim_words`` was measured, and the prevalence that it holds for; may be empty."""
    if is_raised(analysis):
        return ""
    by_clinic = analysis.thresholds_by_clinic
    return claims.claim_basis(analysis.bundle.manifest, outcome_of(analysis), by_clinic=by_clinic)


def is_raised(analysis: Analysis) -> bool:
    """Whether a missing view alone keeps the result from being called normal."""
    low, probability = analysis.threshold_low, analysis.probability
    return analysis.verdict == Verdict.UNCERTAIN and probability is not None and probability < low


def location_words(finding: Finding | None, analysis: Analysis) -> str:
    """What the heatmap of the view is worth; empty where it has none or nothing is known."""
    if finding is None or not finding.map_file:
        return ""
    return claims.location_words(analysis.bundle.manifest, location=finding.location, trust=finding.trust)


def _peak(finding: Finding | None) -> tuple[int, int] | None:
    if finding is None or finding.peak_x is None or finding.peak_y is None:
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
