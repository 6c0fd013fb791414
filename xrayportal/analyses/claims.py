"""What a stored result claims, in sentences: ``words.claims`` with the result's own values."""

from __future__ import annotations

from xrayportal.analyses.models import Analysis, Finding, Verdict
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.words import claims


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
