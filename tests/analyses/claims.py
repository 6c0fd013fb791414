"""Claims as a worker gets them, and results for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import connection

from tests.factories import make_bundle, make_study
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue.claims import claim_analyses
from xrayportal.analyses.results import AnalysisResult, UnreadableView, ViewResult
from xrayportal.analyses.services import request_analysis
from xrayportal.audit.models import AuditEvent
from xrayportal.studies.models import Image

#: Lets the lease of a claim run out.
Expire = Callable[[Analysis], None]


def result_for(analysis: Analysis, *, unreadable: tuple[Image, ...] = ()) -> AnalysisResult:
    """An abnormal result with one finding a view."""
    images = [image for image in analysis.study.images.all() if image not in unreadable]
    views = [
        ViewResult(
            image_id=image.pk,
            verdict="abnormal",
            body_parts={"wrist": 1.0},
            probability=0.9,
            peak=(3, 4),
            trust=0.5,
            ood_distance=0.2,
            width=10,
            height=20,
            spacing=(0.1, 0.1),
            display_file="d",
            thumbnail_file="t",
            overlay_file="o",
            map_file="m",
            milliseconds={"decode": 1.0},
        )
        for image in images
    ]
    return AnalysisResult(
        verdict="abnormal",
        body_part="wrist",
        body_parts={"wrist": 1.0},
        probability=0.9,
        views=views,
        unreadable=[
            UnreadableView(image.pk, "truncated", "“view.png”", "It ends too early.") for image in unreadable
        ],
        runtime="openvino 1",
        precision="f32",
        software="0.1.0",
        milliseconds={"decode": 1.0},
    )


def claimed(views: int = 1) -> Analysis:
    """A requested and claimed analysis of a new study."""
    make_bundle()
    request_analysis(study=make_study(views=views))
    (claim,) = claim_analyses(worker="w", limit=1)
    return claim


def again(claim: Analysis) -> Analysis:
    """The row as it is now."""
    return Analysis.objects.get(pk=claim.pk)


def clock() -> datetime:
    """The time by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def actions() -> list[str]:
    """The actions and details of the audit events, oldest first."""
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
