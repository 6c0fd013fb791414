"""The figures of the operations page: of one clinic, or of the whole platform. Ids and kinds, no names."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.core.files.storage import FileSystemStorage, default_storage, storages
from django.db import connection
from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Now

from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import AuditHead, ChainCheck
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Image, Queue

State = Analysis.State
STAGES = ("decode", "preprocess", "infer", "render")
FAILURES_SHOWN = 20
FAILURES_SINCE = timedelta(days=7)
#: Adding up all images of all clinics takes a while, and changes little.
_REMEMBERED_SECONDS = 60

# The newest of the last day: with many more, the percentiles are no truer. A clock that was set back between
# two moments makes no time negative.
_LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY (milliseconds->>'decode')::float8 / n),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY (milliseconds->>'preprocess')::float8 / n),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY (milliseconds->>'infer')::float8 / n),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY (milliseconds->>'render')::float8 / n),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY wait),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY total),
       count(*)
FROM (
    SELECT milliseconds, greatest(views, 1) AS n,
           greatest(0, 1000 * extract(epoch FROM started_at - requested_at)::float8) AS wait,
           greatest(0, 1000 * extract(epoch FROM finished_at - requested_at)::float8) AS total
    FROM analyses_analysis
    WHERE state = 'succeeded' AND finished_at > statement_timestamp() - interval '1 day'
      AND (%(clinic)s::uuid IS NULL OR clinic_id = %(clinic)s::uuid)
    ORDER BY finished_at DESC LIMIT 5000
) AS recent
"""


@dataclass(frozen=True)
class QueueFigures:
    """One queue; ``oldest`` is since when the analysis waits that waits longest."""

    name: str
    waiting: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one stage: a view's for the stages of the work, an analysis' for the rest."""

    stage: str
    median: float
    p95: float


@dataclass(frozen=True)
class Throughput:
    """Analyses that ended in the last hour and day."""

    hour: int
    day: int
    failed_hour: int
    failed_day: int


@dataclass(frozen=True)
class Storage:
    """Bytes of stored originals by clinic, and what is free where the files lie in a folder of ours."""

    clinics: list[tuple[str, int, int]]
    free: int | None
    total: int | None

    @property
    def free_percent(self) -> int:
        """Of the whole disk."""
        return round(100 * (self.free or 0) / self.total) if self.total else 0


@dataclass(frozen=True)
class Chain:
    """One audit chain: how long it is now, and what its last verification found."""

    clinic: Clinic | None
    length: int
    check: ChainCheck | None


def queues_of(clinic: Clinic | None) -> list[QueueFigures]:
    """Waiting and running by queue; one query."""
    rows = (
        _of(Analysis.objects.unfinished(), clinic)
        .order_by()
        .values("queue")
        .annotate(
            waiting=Count("pk", filter=Q(state=State.QUEUED)),
            running=Count("pk", filter=Q(state=State.RUNNING)),
            oldest=Min("requested_at", filter=Q(state=State.QUEUED)),
        )
    )
    found: Mapping[str, Any] = {row["queue"]: row for row in rows}
    nothing = {"waiting": 0, "running": 0, "oldest": None}
    return [
        QueueFigures(str(queue.label), **{key: found.get(queue.value, nothing)[key] for key in nothing})
        for queue in Queue
    ]


def throughput_of(clinic: Clinic | None) -> Throughput:
    """Two queries, each over an index of its own."""
    counts: dict[str, int] = {}
    for name, state in (("", State.SUCCEEDED), ("failed_", State.FAILED)):
        ended = _of(Analysis.objects.filter(state=state, finished_at__gt=Now() - timedelta(days=1)), clinic)
        within_hour = Q(finished_at__gt=Now() - timedelta(hours=1))
        found = ended.aggregate(hour=Count("pk", filter=within_hour), day=Count("pk"))
        counts |= {f"{name}{format_duration}": count for format_duration, count in found.items()}
    return Throughput(**counts)


def latency_of(clinic: Clinic | None) -> list[Latency]:
    """Median and 95th percentile by stage over the last day; empty when nothing was analysed."""
    with connection.cursor() as cursor:
        cursor.execute(_LATENCY, {"clinic": str(clinic.pk) if clinic else None})
        *stages, count = cursor.fetchone()
    if not count:
        return []
    return [
        Latency(name, *pair) for name, pair in zip((*STAGES, "wait", "total"), stages, strict=True) if pair
    ]


def failures_of(clinic: Clinic | None) -> QuerySet[Analysis]:
    """The newest failures of a week; ``is_last`` where nothing newer was asked for."""
    newest = Analysis.objects.filter(study=OuterRef("study"), purpose=OuterRef("purpose"))
    return (
        _of(Analysis.objects.filter(state=State.FAILED, finished_at__gt=Now() - FAILURES_SINCE), clinic)
        .annotate(newest=Subquery(newest.order_by("-requested_at").values("pk")[:1]))
        .annotate(is_last=Q(newest=F("pk")))
        .select_related("clinic", "bundle")
        .order_by("-finished_at")
    )


def kinds_of(clinic: Clinic | None) -> list[tuple[str, int]]:
    """How often each kind of failure came in a week, most frequent first; one query."""
    failed = _of(Analysis.objects.filter(state=State.FAILED, finished_at__gt=Now() - FAILURES_SINCE), clinic)
    rows = failed.order_by().values_list("error_kind").annotate(n=Count("pk")).order_by("-n", "error_kind")
    return list(rows)


def storage_of(clinic: Clinic | None) -> Storage:
    """One query a minute and process; the results' files are not counted, they name no size."""
    key = f"operations.storage.{clinic.pk if clinic else 'all'}"
    clinics: list[tuple[str, int, int]] | None = cache.get(key)
    if clinics is None:
        rows = Image.objects.filter(clinic=clinic) if clinic else Image.objects.all()
        summed = rows.order_by().values_list("clinic__name").annotate(n=Count("pk"), bytes=Sum("size"))
        clinics = list(summed.order_by("-bytes"))
        cache.set(key, clinics, _REMEMBERED_SECONDS)
    # A folder of ours, or an object store, which tells nobody what is free.
    if not issubclass(type(storages["default"]), FileSystemStorage):
        return Storage(clinics, None, None)
    return _with_disk(clinics, default_storage.path(""))


def chains_of(clinic: Clinic | None) -> list[Chain]:
    """The clinic's chain, or all of them with the platform's first; two queries."""
    heads = AuditHead.objects.select_related("clinic").order_by(F("clinic__name").asc(nulls_first=True))
    checks = ChainCheck.objects.all()
    if clinic is not None:
        heads, checks = heads.filter(clinic=clinic), checks.filter(clinic=clinic)
    found = {check.clinic_id: check for check in checks}
    return [Chain(head.clinic, head.number, found.get(head.clinic_id)) for head in heads]


def _with_disk(clinics: list[tuple[str, int, int]], location: str) -> Storage:
    try:
        usage = shutil.disk_usage(location)
    except FileNotFoundError:  # nothing was ever stored
        return Storage(clinics, None, None)
    return Storage(clinics, usage.free, usage.total)


def _of(analyses: QuerySet[Analysis], clinic: Clinic | None) -> QuerySet[Analysis]:
    return analyses.filter(clinic=clinic) if clinic else analyses
