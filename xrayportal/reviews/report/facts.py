"""The content of the report, gathered from the database in a constant number of queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Analysis, Finding
from xrayportal.clinics.models import Clinic
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study
from xrayportal.words import figures, verdicts


@dataclass(frozen=True)
class ViewFact:
    """One view: its number on the page, its verdict and its probability in words."""

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
    verdict_code: str
    verdict: str
    probability: float | None
    low: float
    high: float
    by_clinic: bool
    #: Storage names of the view that is printed; empty where there is none.
    display_file: str
    overlay_file: str
    #: Its number among the views.
    printed_view: int
    #: Displayed pixels.
    width: int
    height: int
    trust: str
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
        verdict_code=analysis.verdict,
        verdict=verdicts.verdict_word(manifest, analysis.verdict),
        probability=analysis.probability,
        low=analysis.threshold_low,
        high=analysis.threshold_high,
        by_clinic=analysis.thresholds_by_clinic,
        display_file=finding.display_file if finding else "",
        overlay_file=finding.overlay_file if finding else "",
        printed_view=number,
        width=finding.width if finding else 0,
        height=finding.height if finding else 0,
        trust=trust_words(finding, analysis),
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
        views=[
            ViewFact(
                i, verdicts.verdict_word(manifest, row.verdict), figures.format_probability(row.probability)
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


def trust_words(finding: Finding | None, analysis: Analysis) -> str:
    """The sentence about the trust in the view's map; empty where it has none."""
    if finding is None or finding.trust is None:
        return ""
    if finding.trust < analysis.bundle.manifest["trust"]["weak_below"]:
        return _("Weak evidence: do not rely on the map")
    return _("Strongest evidence here")


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
