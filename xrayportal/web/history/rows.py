"""The rows of the history, as plain values and as HTML that is rendered once for all who see the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.contrib.postgres.fields import ArrayField
from django.db.models import FilteredRelation, Q, QuerySet, UUIDField, Value
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from xrayportal.analyses.latest import first_file, first_thumbnail
from xrayportal.analyses.models import Bundle
from xrayportal.analyses.outcomes import outcome_code
from xrayportal.clinics.models import Clinic
from xrayportal.prepared import Prepared
from xrayportal.reviews.history import Filters
from xrayportal.reviews.models import Consensus
from xrayportal.studies.models import Study
from xrayportal.web.worklist.rows import is_one_of
from xrayportal.web.worklist.study_row import Result
from xrayportal.words.figures import ago
from xrayportal.words.verdicts import verdict_word

#: Rows that a process remembers, 2 kB each: twenty pages, to which people come back from a study.
REMEMBERED = 1000


class Listed(NamedTuple):
    """A study of a page: its name, its readers' consensus, and the result that the filters are about."""

    pk: UUID
    created_at: datetime
    patient_reference: str
    name: str
    thumbnail: UUID | None
    state: str | None
    readers_verdict: str | None
    readers_body_part: str | None
    changes: int | None
    bundle_id: int | None
    verdict: str
    reason: str
    leaning: str
    body_part: str
    probability: float | None
    threshold_low: float
    threshold_high: float
    thresholds_by_clinic: bool


_OF_STUDY = (
    *("pk", "created_at", "patient_reference", "name", "thumbnail"),
    *("consensus__state", "consensus__verdict", "consensus__body_part", "consensus__changes"),
)
_OF_RESULT = (
    *("bundle_id", "verdict", "reason", "leaning", "body_part", "probability"),
    *("threshold_low", "threshold_high", "thresholds_by_clinic"),
)


@dataclass(frozen=True, slots=True)
class Readers:
    """What the readers say: the state of their consensus, their verdict and its word."""

    state: str
    verdict: str
    word: str
    #: Whether one of them signed another verdict than the one stored blind.
    has_changed: bool


@dataclass(frozen=True, slots=True)
class Row:
    """All that the HTML of a row is made of. ``readers`` is None until one has signed."""

    clinic: str
    study: UUID
    patient_reference: str
    name: str
    thumbnail: UUID | None
    body_part: str
    result: Result
    bundle: str
    readers: Readers | None
    created_at: datetime
    age: str
    language: str
    zone: str


def rows_of(
    clinic: Clinic, studies: Sequence[Study], filters: Filters, bundles: Mapping[int, Bundle]
) -> list[Row]:
    """Each study with the result that the filters are about: the chosen bundle's, or the current one.

    ``bundles`` are those of the clinic's results, by their ids. One query.
    """
    ids = [study.pk for study in studies]
    if not ids:
        return []
    by_id = {
        row[0]: Listed._make(row)
        for row in _listed(bool(filters.bundle)).rows(ids=ids, bundle=filters.bundle)
    }
    listed = [by_id[pk] for pk in ids if pk in by_id]
    return [_row(clinic, one, bundles[one.bundle_id]) for one in listed if one.bundle_id is not None]


def rendered(rows: Iterable[Row]) -> list[SafeString]:
    """The HTML of each row."""
    return [_rendered(row) for row in rows]


@lru_cache(maxsize=REMEMBERED)
def _rendered(row: Row) -> SafeString:
    return render_to_string("history/_row.html", {"row": row})


@cache
def _listed(by_bundle: bool) -> Prepared:
    """The studies of a page, with the current result or with that of a bundle."""

    def build(ids: list[UUID], bundle: int) -> QuerySet[Study, tuple[Any, ...]]:
        studies = Study.objects.filter(is_one_of(Value(ids, output_field=ArrayField(UUIDField()))))
        studies = studies.annotate(name=first_file(), thumbnail=first_thumbnail())
        prefix = "current__"
        if by_bundle:
            of_bundle = Q(reference_predictions__bundle=bundle)
            studies = studies.annotate(
                prediction=FilteredRelation("reference_predictions", condition=of_bundle)
            )
            prefix = "prediction__analysis__"
        return studies.values_list(*_OF_STUDY, *(f"{prefix}{name}" for name in _OF_RESULT))

    return Prepared(build, ids=[uuid4()], bundle=-1, unused=set() if by_bundle else {"bundle"})


def _row(clinic: Clinic, study: Listed, bundle: Bundle) -> Row:
    outcome = outcome_code(study.verdict, study.reason, study.leaning)
    return Row(
        clinic=clinic.slug,
        study=study.pk,
        patient_reference=study.patient_reference,
        name=study.name,
        thumbnail=study.thumbnail,
        body_part=study.readers_body_part or study.body_part,
        result=Result(
            outcome=outcome,
            word=verdict_word(bundle.manifest, outcome),
            body_part=study.body_part,
            probability=study.probability,
            threshold_low=study.threshold_low,
            threshold_high=study.threshold_high,
            thresholds_by_clinic=study.thresholds_by_clinic,
        ),
        bundle=bundle.name,
        readers=_readers(study, bundle),
        created_at=study.created_at,
        age=ago(study.created_at),
        language=get_language() or "",
        zone=timezone.get_current_timezone_name(),
    )


def _readers(study: Listed, bundle: Bundle) -> Readers | None:
    if not study.state or study.state == Consensus.State.OPEN:
        return None
    verdict = study.readers_verdict or ""
    word = verdict_word(bundle.manifest, verdict) if verdict else ""
    return Readers(study.state, verdict, word, has_changed=bool(study.changes))
