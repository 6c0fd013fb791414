"""The figures of the operations page, of one clinic or of the whole platform: ids and kinds, no names.

Every function takes a clinic, or None for the whole platform.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.core.files.storage import FileSystemStorage, default_storage, storages
from django.db import connection
from django.db.models import Count, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Now

from inference_worker.types import STAGES
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import AuditHead, ChainCheck
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Image, Queue

State = Analysis.State
FAILURES_SHOWN = 20
FAILURES_SINCE = timedelta(days=7)
#: Adding up all images of all clinics takes a while, and changes little.
_REMEMBERED_SECONDS = 60

# The newest of the span: with many more, the percentiles are no truer. A clock that was set back between
# two moments makes no time negative.
_OF_STAGES = ",\n".join(
    f"percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY (milliseconds->>'{stage}')::float8 / n)"
    for stage in STAGES
)
_LATENCY = f"""
SELECT {_OF_STAGES},
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY wait),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY total),
       count(*)
FROM (
    SELECT milliseconds, greatest(views, 1) AS n,
           greatest(0, 1000 * extract(epoch FROM started_at - requested_at)::float8) AS wait,
           greatest(0, 1000 * extract(epoch FROM finished_at - requested_at)::float8) AS total
    FROM analyses_analysis
    WHERE state = 'succeeded' AND finished_at > statement_timestamp() - make_interval(secs => %(seconds)s)
      AND (%(clinic)s::uuid IS NULL OR clinic_id = %(clinic)s::uuid)
    ORDER BY finished_at DESC LIMIT 5000
) AS recent
"""  # noqa: S608  the stages are ours


@dataclass(frozen=True)
class QueueFigures:
    """One queue; ``oldest`` is when the analysis was requested that waits longest."""

    name: str
    waiting: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one stage: per view for the stages of the work, per analysis for the rest."""

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
    """The stored originals, and the bytes of the disk where the files lie in a folder."""

    #: Name, number of originals and their bytes, for each clinic.
    clinics: list[tuple[str, int, int]]
    free: int | None
    total: int | None

    @property
    def free_percent(self) -> int:
        """Free space in per cent of the whole disk."""
        return round(100 * (self.free or 0) / self.total) if self.total else 0


@dataclass(frozen=True)
class Disk:
    """Bytes of a disk."""

    free: int
    total: int


@dataclass(frozen=True)
class Chain:
    """One audit chain: its length now, and the outcome of its last verification."""

    clinic: Clinic | None
    length: int
    check: ChainCheck | None


def queues_of(clinic: Clinic | None) -> list[QueueFigures]:
    """Waiting and running analyses by queue; one query."""
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
    by_queue: Mapping[str, Any] = {row["queue"]: row for row in rows}
    nothing = {"waiting": 0, "running": 0, "oldest": None}
    return [
        QueueFigures(str(queue.label), **{key: by_queue.get(queue.value, nothing)[key] for key in nothing})
        for queue in Queue
    ]


def head_of_queue() -> dict[str, tuple[int, float]]:
    """By queue: how many analyses are due, and for how many seconds the first of them has been. One query."""
    due = Analysis.objects.filter(state=State.QUEUED, not_before__lte=Now()).order_by()
    # One that was put back waits from then on: a second try in five minutes is no backlog of five minutes.
    rows = due.values_list("queue").annotate(n=Count("pk"), age=Max(Now() - F("not_before")))
    found = {queue: (count, max(0.0, age.total_seconds())) for queue, count, age in rows}
    return {queue: found.get(queue, (0, 0.0)) for queue in Queue.values}


def throughput_of(clinic: Clinic | None) -> Throughput:
    """Analyses that succeeded and failed in the last hour and day; two queries, each over its own index."""
    counts: dict[str, int] = {}
    for name, state in (("", State.SUCCEEDED), ("failed_", State.FAILED)):
        ended = _of(Analysis.objects.filter(state=state, finished_at__gt=Now() - timedelta(days=1)), clinic)
        within_hour = Q(finished_at__gt=Now() - timedelta(hours=1))
        by_span = ended.aggregate(hour=Count("pk", filter=within_hour), day=Count("pk"))
        counts |= {f"{name}{span}": count for span, count in by_span.items()}
    return Throughput(**counts)


def latency_of(clinic: Clinic | None, span: timedelta = timedelta(days=1)) -> list[Latency]:
    """Median and 95th percentile by stage over ``span`` until now; empty if nothing was analysed."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LATENCY, {"clinic": str(clinic.pk) if clinic else None, "seconds": span.total_seconds()}
        )
        *stages, count = cursor.fetchone()
    if not count:
        return []
    return [
        Latency(name, *pair) for name, pair in zip((*STAGES, "wait", "total"), stages, strict=True) if pair
    ]


def failures_of(clinic: Clinic | None) -> QuerySet[Analysis]:
    """The failures of a week, newest first; ``is_last`` where no newer analysis was requested."""
    newest = Analysis.objects.filter(study=OuterRef("study"), purpose=OuterRef("purpose"))
    return (
        _of(Analysis.objects.filter(state=State.FAILED, finished_at__gt=Now() - FAILURES_SINCE), clinic)
        .annotate(newest=Subquery(newest.order_by("-requested_at").values("pk")[:1]))
        .annotate(is_last=Q(newest=F("pk")))
        .select_related("clinic", "bundle")
        .order_by("-finished_at")
    )


def kinds_of(clinic: Clinic | None) -> list[tuple[str, int]]:
    """The kinds of failures of a week with their numbers, most frequent first; one query."""
    failed = _of(Analysis.objects.filter(state=State.FAILED, finished_at__gt=Now() - FAILURES_SINCE), clinic)
    rows = failed.order_by().values_list("error_kind").annotate(n=Count("pk")).order_by("-n", "error_kind")
    return list(rows)


def storage_of(clinic: Clinic | None) -> Storage:
    """The storage; one query a minute and process. Files of results do not count: no row has their size."""
    key = f"operations.storage.{clinic.pk if clinic else 'all'}"
    clinics: list[tuple[str, int, int]] | None = cache.get(key)
    if clinics is None:
        rows = Image.objects.filter(clinic=clinic) if clinic else Image.objects.all()
        summed = rows.order_by().values_list("clinic__name").annotate(n=Count("pk"), bytes=Sum("size"))
        clinics = list(summed.order_by("-bytes"))
        cache.set(key, clinics, _REMEMBERED_SECONDS)
    disk = disk_of_files()
    return Storage(clinics, disk.free, disk.total) if disk else Storage(clinics, None, None)


def chains_of(clinic: Clinic | None) -> list[Chain]:
    """The clinic's chain, or all chains with the platform's first; two queries."""
    heads = AuditHead.objects.select_related("clinic").order_by(F("clinic__name").asc(nulls_first=True))
    checks = ChainCheck.objects.all()
    if clinic is not None:
        heads, checks = heads.filter(clinic=clinic), checks.filter(clinic=clinic)
    by_clinic = {check.clinic_id: check for check in checks}
    return [Chain(head.clinic, head.number, by_clinic.get(head.clinic_id)) for head in heads]


def disk_of_files() -> Disk | None:
    """The disk of the stored files; None before the first, and for an object store, which does not say."""
    if not issubclass(type(storages["default"]), FileSystemStorage):
        return None
    try:
        usage = shutil.disk_usage(default_storage.path(""))
    except FileNotFoundError:
        return None
    return Disk(usage.free, usage.total)


def _of(analyses: QuerySet[Analysis], clinic: Clinic | None) -> QuerySet[Analysis]:
    return analyses.filter(clinic=clinic) if clinic else analyses
