"""Reviews: what readers said of a study, and a verdict of one's own."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Router, Status

from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Verdict
from xrayportal.api.authorization import READ, REVIEW, ApiRequest
from xrayportal.api.problems import Problem
from xrayportal.api.schemas import reviews as schemas
from xrayportal.reviews import services
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study
from xrayportal.web.reviews.forms import ReviewForm
from xrayportal.web.reviews.panel import Panel

router = Router(tags=["reviews"])


@router.get("/studies/{study}/reviews", auth=READ, response=schemas.Reviews)
def list_reviews(request: ApiRequest, study: uuid.UUID) -> schemas.Reviews:
    """A study's present reviews: one's own, and others' that are signed, once they may be seen."""
    access = request.auth
    panel = Panel(access, _study(access, study))
    access.note_look(panel.study, revealed=panel.revealed and panel.study.current_id is not None)
    shown = [panel.own] if panel.own else []
    shown += [review for review in panel.others if review not in shown]
    consensus = panel.consensus if panel.shows_review_status else None
    return schemas.Reviews(
        consensus=_consensus(consensus) if consensus else None,
        items=[_review(access, review, in_full=panel.revealed) for review in shown],
    )


@router.post(
    "/studies/{study}/reviews",
    auth=REVIEW,
    response={201: schemas.StoredReview},
)
def store_review(request: ApiRequest, study: uuid.UUID, body: schemas.NewReview) -> Status[Any]:
    """Save a verdict of one's own, or sign it. The same again is stored once; 409 if it is out of date."""
    access = request.auth
    if access.token is None or access.token.is_service:
        raise Problem(403, _("A service cannot write reviews: a verdict is a person's."))
    panel = Panel(access, _study(access, study))
    sent = {
        "verdict": body.verdict,
        "body_part": body.body_part,
        "comment": body.comment,
        "supersedes": str(body.supersedes or ""),
        "adjudicates": "1" if body.adjudicates else "",
        "boxes": json.dumps([{"image": str(box.image), "box": box.box} for box in body.boxes]),
    }
    form = ReviewForm(sent, body_parts=[part for part, _word in panel.body_parts], images=panel.images)
    if not form.is_valid():
        raise Problem(409, form.sentence)
    try:
        stored = services.store_review(
            access=access,
            study_id=study,
            entry=form.entry,
            supersedes=form.cleaned_data["supersedes"],
            sign=body.sign,
            adjudicates=form.cleaned_data["adjudicates"],
        )
    except services.StudyDeleted:
        raise Http404("Not found.") from None
    except services.ReviewRefused as refusal:
        raise Problem(409, str(refusal.sentence)) from None
    return Status(
        201,
        schemas.StoredReview(
            **dict(_review(access, stored.review, in_full=True)),
            analysis=stored.analysis.pk if stored.analysis else None,
            problem=str(stored.problem),
        ),
    )


def _study(access: ClinicAccess, pk: uuid.UUID) -> Study:
    return get_object_or_404(access.studies().select_related("current__bundle"), pk=pk)


def _consensus(row: Consensus) -> schemas.Consensus:
    return schemas.Consensus(
        state=row.state, verdict=row.verdict, body_part=row.body_part, readers=row.readers
    )


def _review(access: ClinicAccess, row: Review, *, in_full: bool) -> schemas.Review:
    return schemas.Review(
        id=row.pk,
        reader=schemas.Reader(id=row.reader_id, name=str(row.reader)),
        kind=row.kind,
        verdict=Verdict(row.verdict),
        was_blind=row.was_blind,
        is_own=row.reader_id == access.user.pk,
        created_at=row.created_at,
        signed_at=row.signed_at,
        # They may go by the prediction.
        body_part=row.body_part if in_full else None,
        boxes=[dict(box) for box in row.boxes] if in_full else None,
        comment=row.comment if in_full else None,
    )
