"""A row of the worklist, as plain values and as HTML that is rendered once for all who see the same.

Every open worklist polls, and fifty rows are most of its answer; few of them change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.analyses.outcomes import outcome_code
from xrayportal.reviews.models import Consensus
from xrayportal.web.shared.status import Status, reader_status, status_of
from xrayportal.words.figures import ago
from xrayportal.words.verdicts import verdict_word

#: Rows that a process remembers, 2 kB each: what some twenty worklists show.
REMEMBERED = 1000


if TYPE_CHECKING:
    from xrayportal.web.worklist.rows import ListedStudy


@dataclass(frozen=True, slots=True)
class Result:
    """The prediction that a row shows."""

    #: An outcome (``analyses.outcomes``) and its word.
    outcome: str
    word: str
    body_part: str
    probability: float | None
    threshold_low: float
    threshold_high: float
    thresholds_by_clinic: bool


@dataclass(frozen=True, slots=True)
class Row:
    """All that the HTML of a row is made of, so that equal rows have equal HTML for everybody.

    ``result`` is None where this person may not know it; ``status`` is the dot of the column "State".
    ``language`` and ``zone`` are those of the words and times, ``age`` are the words for how long ago
    ``created_at`` was.
    """

    clinic: str
    study: UUID
    patient_reference: str
    name: str
    views: int
    thumbnail: UUID | None
    stated_body_part: str
    is_read: bool
    has_draft: bool
    is_hidden: bool
    result: Result | None
    status: Status
    review_status: str
    created_at: datetime
    age: str
    language: str
    zone: str


def row_of(access: ClinicAccess, study: ListedStudy, bundles: Mapping[int, Bundle]) -> Row:
    """The row of a study from ``worklist_page``, as ``access`` may see it; no query.

    ``bundles`` are those of the page's results, by their ids.
    """
    is_hidden = study.bundle_id is not None and not study.revealed
    return Row(
        clinic=access.clinic.slug,
        study=study.pk,
        patient_reference=study.patient_reference,
        name=study.name,
        views=study.views or 0,
        thumbnail=study.thumbnail,
        stated_body_part=study.stated_body_part,
        is_read=study.is_read,
        has_draft=study.own_review == "draft",
        is_hidden=is_hidden,
        result=None if is_hidden else _result(study, bundles),
        status=_status(access, study),
        review_status=_review_status(access, study),
        created_at=study.created_at,
        age=ago(study.created_at),
        language=get_language() or "",
        zone=timezone.get_current_timezone_name(),
    )


@lru_cache(maxsize=REMEMBERED)
def rendered(row: Row) -> SafeString:
    """The row's HTML, made of nothing but the row."""
    return render_to_string("partials/_study_row.html", {"row": row})


def _result(study: ListedStudy, bundles: Mapping[int, Bundle]) -> Result | None:
    if study.bundle_id is None:
        return None
    outcome = outcome_code(study.verdict or "", study.reason or "", study.leaning or "")
    return Result(
        outcome=outcome,
        word=verdict_word(bundles[study.bundle_id].manifest, outcome),
        body_part=study.body_part or "",
        probability=study.probability,
        threshold_low=study.threshold_low or 0.0,
        threshold_high=study.threshold_high or 0.0,
        thresholds_by_clinic=bool(study.thresholds_by_clinic),
    )


def _status(access: ClinicAccess, study: ListedStudy) -> Status:
    """Where the analysis stands; once it is done, for a reader, where their own work on the study does."""
    if study.latest_state != Analysis.State.SUCCEEDED or not access.may(Permission.REVIEW):
        return status_of(study.latest_state)
    is_disagreed = _consensus(access, study) == Consensus.State.DISAGREED
    if study.own_review == "draft":
        return reader_status("draft")
    if is_disagreed or study.own_review:
        return reader_status("disagreed" if is_disagreed else "signed")
    return reader_status("opened" if study.is_read else "unread")


def _review_status(access: ClinicAccess, study: ListedStudy) -> str:
    """The words for the readers' consensus; empty until one has signed."""
    state = _consensus(access, study)
    return str(Consensus.State(state).label) if state else ""


def _consensus(access: ClinicAccess, study: ListedStudy) -> str:
    """The state of the readers' consensus, for people who see all studies; empty until one has signed."""
    state = study.consensus
    return state if state and state != Consensus.State.OPEN and access.may(Permission.SEE_ALL) else ""
