"""Studies, analyses and findings as the API tells them to one person: here predictions are hidden."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, cast

from django.db.models import QuerySet
from django.urls import reverse

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import RowFacts, with_status
from xrayportal.analyses.models import Analysis, Finding, Verdict
from xrayportal.analyses.outcomes import outcome_code
from xrayportal.api.schemas import analyses as analysis_schemas
from xrayportal.api.schemas import studies as study_schemas
from xrayportal.reviews.blind import Revealed, with_revealed
from xrayportal.studies.models import Study
from xrayportal.web.shared.failures import failure_of, unreadable_sentence
from xrayportal.words.verdicts import verdict_word


class StudyFacts(RowFacts, Revealed):
    """What the API needs of a study."""


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    ApiStudy = WithAnnotations[Study, StudyFacts]


def with_facts(access: ClinicAccess, studies: QuerySet[Study]) -> QuerySet[ApiStudy]:
    """The same studies with what `study_json` needs."""
    rows = with_revealed(access, with_status(studies)).select_related("current__bundle")
    return cast("QuerySet[ApiStudy]", rows)


def study_json(study: ApiStudy) -> study_schemas.Study:
    """A study of `with_facts`."""
    result = study.current
    return study_schemas.Study(
        id=study.pk,
        submission=study.submission_id,
        patient_reference=study.patient_reference,
        name=study.name,
        views=study.views or 0,
        state=study.state,
        status=cast("study_schemas.Status", study.latest_state or "receiving"),
        stated_body_part=study.stated_body_part,
        created_at=study.created_at,
        is_hidden=not study.revealed,
        result=_result(result) if result is not None and study.revealed else None,
    )


def study_detail(study: ApiStudy) -> study_schemas.StudyDetail:
    """The same with its images; two queries."""
    newest = (
        study.analyses.primary().exclude(state=Analysis.State.CANCELLED).order_by("-requested_at").first()
    )
    return study_schemas.StudyDetail(
        **dict(study_json(study)),
        images=[
            study_schemas.Image(
                id=image.pk,
                view_position=image.view_position,
                media_type=image.media_type,
                size=image.size,
                sha256=image.sha256,
                original=reverse("api:get_original", args=[image.pk]),
            )
            for image in study.images.all()
        ],
        problem=failure_of(newest) if newest else "",
    )


def analysis_json(analysis: Analysis, *, revealed: bool) -> analysis_schemas.AnalysisSummary:
    """An analysis with its bundle."""
    has_result = analysis.state == Analysis.State.SUCCEEDED
    return analysis_schemas.AnalysisSummary(
        id=analysis.pk,
        study=analysis.study_id,
        state=analysis.state,
        bundle=analysis.bundle.name,
        forced_body_part=analysis.forced_body_part,
        requested_at=analysis.requested_at,
        started_at=analysis.started_at,
        finished_at=analysis.finished_at,
        error_kind=analysis.error_kind,
        error=failure_of(analysis),
        is_hidden=not revealed,
        result=_result(analysis) if has_result and revealed else None,
    )


def analysis_detail(
    analysis: Analysis, findings: Iterable[Finding], *, revealed: bool
) -> analysis_schemas.AnalysisDetail:
    """The same with its findings."""
    return analysis_schemas.AnalysisDetail(
        **dict(analysis_json(analysis, revealed=revealed)),
        findings=[finding_json(finding, revealed=revealed) for finding in findings],
        unreadable=[
            analysis_schemas.UnreadableView(
                image=uuid.UUID(view["image"]), kind=view["kind"], sentence=unreadable_sentence(view)
            )
            for view in analysis.unreadable
        ],
        # Drawing takes longer where there is something to draw.
        milliseconds=analysis.milliseconds if revealed else {},
        runtime=analysis.runtime,
        precision=analysis.precision,
    )


def finding_json(finding: Finding, *, revealed: bool) -> analysis_schemas.Finding:
    """A finding; without what tells of the prediction unless it is ``revealed``."""
    peak = None
    # Where no area stands out, nothing is drawn, as on the page.
    shows_heatmap = revealed and finding.has_heatmap
    if shows_heatmap and finding.peak_x is not None and finding.peak_y is not None:
        peak = analysis_schemas.Peak(x=finding.peak_x, y=finding.peak_y)

    def address(kind: str, name: str) -> str | None:
        return reverse("api:get_finding_file", args=[finding.pk, kind]) if name and shows_heatmap else None

    return analysis_schemas.Finding(
        id=finding.pk,
        image=finding.image_id,
        analysis=finding.analysis_id,
        is_hidden=not revealed,
        verdict=Verdict(finding.verdict) if revealed else None,
        leaning=finding.leaning if revealed else None,
        reason=finding.reason if revealed else None,
        location=finding.location if revealed else None,
        notes=[str(note) for note in finding.notes],
        probability=finding.probability if revealed else None,
        body_parts=finding.body_parts if revealed else None,
        peak=peak,
        trust=finding.trust if revealed else None,
        ood_distance=finding.ood_distance if revealed else None,
        width=finding.width,
        height=finding.height,
        spacing=finding.spacing,
        files=analysis_schemas.FindingFiles(
            display=reverse("api:get_finding_file", args=[finding.pk, "display"]),
            thumbnail=reverse("api:get_finding_file", args=[finding.pk, "thumbnail"]),
            depth=(
                reverse("api:get_finding_file", args=[finding.pk, "depth"]) if finding.depth_file else None
            ),
            overlay=address("overlay", finding.overlay_file),
            map=address("map", finding.map_file),
        ),
    )


def _result(analysis: Analysis) -> analysis_schemas.Result:
    return analysis_schemas.Result(
        analysis=analysis.pk,
        verdict=Verdict(analysis.verdict),
        verdict_words=verdict_word(
            analysis.bundle.manifest, outcome_code(analysis.verdict, analysis.reason, analysis.leaning)
        ),
        leaning=analysis.leaning,
        reason=analysis.reason,
        body_part=analysis.body_part,
        probability=analysis.probability,
        threshold_low=analysis.threshold_low,
        threshold_high=analysis.threshold_high,
        clinic_setting=analysis.thresholds_by_clinic,
        is_incomplete=bool(analysis.unreadable),
        bundle=analysis.bundle.name,
        analysed_at=cast("datetime", analysis.finished_at),
    )
