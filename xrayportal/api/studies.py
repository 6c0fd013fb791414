"""Studies with their results, their analyses and findings, and the files of both."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from xrayportal.access import ClinicAccess
from xrayportal.analyses import services
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.analyses.models import Analysis
from xrayportal.api.authorization import IMAGES, READ, SUBMIT, ApiRequest
from xrayportal.api.openapi import files, leading_to
from xrayportal.api.paging import Paging, page_of
from xrayportal.api.problems import Problem
from xrayportal.api.results import (
    analysis_detail,
    analysis_json,
    finding_json,
    study_detail,
    study_json,
    with_facts,
)
from xrayportal.api.schemas import analyses as analysis_schemas
from xrayportal.api.schemas import studies as study_schemas
from xrayportal.intake.media_types import SUFFIXES
from xrayportal.reviews.blind import reveals, visible_predictions
from xrayportal.studies.models import Study
from xrayportal.web.shared.stored_files import finding_response, original_response

router = Router()


class FileKind(StrEnum):
    """The files of a finding: `depth` is the picture at its stored depth, `map` the heatmap's values."""

    DISPLAY = "display"
    THUMBNAIL = "thumbnail"
    OVERLAY = "overlay"
    MAP = "map"
    DEPTH = "depth"


@router.get("/studies", auth=READ, response=study_schemas.StudyPage, tags=["studies"])
def list_studies(
    request: ApiRequest, page: Paging, filters: Query[study_schemas.StudyFilters]
) -> study_schemas.StudyPage:
    """The studies that this token may see, newest first."""
    access = request.auth
    studies = access.studies(listed=True)
    if filters.submission:
        studies = studies.filter(submission=filters.submission)
    if filters.patient_reference:
        studies = studies.filter(patient_reference=filters.patient_reference)
    if filters.created_from:
        studies = studies.filter(created_at__gte=filters.created_from)
    if filters.created_before:
        studies = studies.filter(created_at__lt=filters.created_before)
    if filters.verdict or filters.body_part:
        studies = visible_predictions(access, studies)
    if filters.verdict:
        studies = studies.filter(result_verdict=filters.verdict)
    if filters.body_part:
        studies = studies.filter(result_body_part=filters.body_part)
    rows, following = page_of(with_facts(access, studies), page)
    return study_schemas.StudyPage(items=[study_json(row) for row in rows], next=following)


@router.get("/studies/{study}", auth=READ, response=study_schemas.StudyDetail, tags=["studies"])
def get_study(request: ApiRequest, study: uuid.UUID) -> study_schemas.StudyDetail:
    """A study with its views and its result. The audit notes who looked, and whether at the prediction."""
    access = request.auth
    row = get_object_or_404(with_facts(access, access.studies()), pk=study)
    answer = study_detail(row)
    access.note_look(row, revealed=answer.result is not None)
    return answer


@router.get(
    "/studies/{study}/analyses",
    auth=READ,
    response=analysis_schemas.AnalysisList,
    tags=["analyses"],
    openapi_extra=leading_to("get_analysis", analysis="/items/0/id"),
)
def list_analyses(request: ApiRequest, study: uuid.UUID) -> analysis_schemas.AnalysisList:
    """All analyses of a study, newest first."""
    access = request.auth
    row = get_object_or_404(access.studies(), pk=study)
    revealed = reveals(access, row)
    access.note_look(row, revealed=revealed and row.current_id is not None)
    analyses = row.analyses.primary().select_related("bundle").order_by("-requested_at", "pk")
    if not revealed:  # a corrected body part would tell that the predicted one was another
        analyses = analyses.filter(forced_body_part__in=["", row.stated_body_part])
    return analysis_schemas.AnalysisList(items=[analysis_json(one, revealed=revealed) for one in analyses])


@router.post(
    "/studies/{study}/analyses",
    auth=SUBMIT,
    response={202: analysis_schemas.AnalysisSummary},
    tags=["analyses"],
)
def request_analysis(
    request: ApiRequest, study: uuid.UUID, body: analysis_schemas.NewAnalysis
) -> Status[Any]:
    """Ask for an analysis: after a failure, or with a given body part. One that waits already is returned."""
    access = request.auth
    row = get_object_or_404(access.studies().select_related("clinic", "submission"), pk=study)
    if not row.is_sealed:
        raise Problem(409, _("This study is still receiving images. Finish its submission first."))
    try:
        analysis = services.request_analysis(
            study=row, actor=access.actor, forced_body_part=body.forced_body_part
        )
    except services.UnknownBodyPartError as error:
        raise Problem(409, str(error)) from None
    except NoActiveBundleError as error:
        raise Problem(503, str(error)) from None
    except Study.DoesNotExist:
        raise Problem(404, _("Not found.")) from None
    analysis = Analysis.objects.select_related("bundle").get(pk=analysis.pk)
    return Status(202, analysis_json(analysis, revealed=reveals(access, row)))


@router.get(
    "/analyses/{analysis}",
    auth=READ,
    response=analysis_schemas.AnalysisDetail,
    tags=["analyses"],
    openapi_extra=leading_to("get_finding", finding="/findings/0/id"),
)
def get_analysis(request: ApiRequest, analysis: uuid.UUID) -> analysis_schemas.AnalysisDetail:
    """An analysis with its findings, one a view."""
    access = request.auth
    row, revealed = _analysis(access, analysis)
    access.note_look(row.study, revealed=revealed and row.state == Analysis.State.SUCCEEDED)
    return analysis_detail(row, row.findings.all(), revealed=revealed)


@router.post(
    "/analyses/{analysis}/cancel", auth=SUBMIT, response=analysis_schemas.AnalysisSummary, tags=["analyses"]
)
def cancel_analysis(request: ApiRequest, analysis: uuid.UUID) -> analysis_schemas.AnalysisSummary:
    """Call an analysis off; a finished one is left as it is."""
    access = request.auth
    row, revealed = _analysis(access, analysis)
    services.cancel_analysis(analysis=row, actor=access.actor)
    row.refresh_from_db()
    return analysis_json(row, revealed=revealed)


@router.get("/findings/{finding}", auth=READ, response=analysis_schemas.Finding, tags=["findings"])
def get_finding(request: ApiRequest, finding: uuid.UUID) -> analysis_schemas.Finding:
    """The result for one view."""
    access = request.auth
    row = get_object_or_404(access.findings().select_related("analysis", "image__study"), pk=finding)
    revealed = reveals(access, row.image.study)
    access.note_look(row.image.study, revealed=revealed)
    return finding_json(row, revealed=revealed)


@router.get(
    "/findings/{finding}/files/{kind}",
    auth=READ,
    tags=["findings"],
    url_name="get_finding_file",
    openapi_extra=files("image/jpeg", "image/png", "application/json"),
)
def get_finding_file(request: ApiRequest, finding: uuid.UUID, kind: FileKind) -> HttpResponseBase:
    """A picture or the heatmap of a finding. It never changes. What tells of a hidden prediction is a 404."""
    return finding_response(request, request.auth, finding, kind)


@router.get(
    "/images/{image}/original",
    auth=IMAGES,
    tags=["studies"],
    url_name="get_original",
    openapi_extra=files(*SUFFIXES),
)
def get_original(request: ApiRequest, image: uuid.UUID) -> HttpResponseBase:
    """The stored, de-identified file of a view; every download is audited."""
    return original_response(request, request.auth, image)


def _analysis(access: ClinicAccess, pk: uuid.UUID) -> tuple[Analysis, bool]:
    """The analysis, and whether its prediction may be shown. Raises Http404, also for a hidden correction."""
    analyses = access.analyses().primary().select_related("bundle", "study")  # type: ignore[attr-defined]
    row: Analysis = get_object_or_404(analyses, pk=pk)
    revealed = reveals(access, row.study)
    if not revealed and row.forced_body_part not in ("", row.study.stated_body_part):
        raise Http404("Not found.")
    return row, revealed
