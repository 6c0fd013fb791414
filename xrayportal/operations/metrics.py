"""The figures for Prometheus: computed from PostgreSQL when they are asked for, ids and kinds only.

They are true however many processes there are and whichever of them answers. What ended is told for the
last quarter of an hour: that is an index range, where totals would read whole tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import Error, connection
from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import Now
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from xrayportal.analyses.models import Analysis, Bundle, Heartbeat
from xrayportal.analyses.workers import live_workers
from xrayportal.audit.models import AuditHead, ChainCheck
from xrayportal.dicom.models import Delivery
from xrayportal.operations.figures import disk_of_files, head_of_queue, latency_of
from xrayportal.studies.models import Submission

State = Analysis.State
WINDOW = timedelta(minutes=15)


class DatabaseCollector:
    """A collector of prometheus_client; ``xray_database_up`` is 0, and alone, where PostgreSQL is away."""

    def collect(self) -> Iterator[Metric]:
        """Ask PostgreSQL a dozen short questions."""
        try:
            metrics = list(_all())
        except Error:
            connection.close()
            yield _gauge("xray_database_up", "1 if PostgreSQL answers.", 0)
            return
        yield _gauge("xray_database_up", "1 if PostgreSQL answers.", 1)
        yield from metrics


def _all() -> Iterator[Metric]:
    yield from _queues()
    yield from _ended()
    yield from _stages()
    yield from _processes()
    yield from _deliveries()
    yield from _audit()
    yield from _storage()


def _queues() -> Iterator[Metric]:
    waiting = _family("xray_queue_due", "Analyses that wait and may start now.", "queue")
    oldest = _family("xray_queue_oldest_seconds", "How long the first of them has waited.", "queue")
    for queue, (count, age) in head_of_queue().items():
        waiting.add_metric([queue], count)
        oldest.add_metric([queue], age)
    yield from (waiting, oldest)
    unfinished = Analysis.objects.unfinished().aggregate(
        later=Count("pk", filter=Q(state=State.QUEUED, not_before__gt=Now())),
        leased=Count("pk", filter=Q(state=State.RUNNING)),
        expired=Count("pk", filter=Q(state=State.RUNNING, leased_until__lt=Now())),
    )
    yield _gauge("xray_queue_delayed", "Analyses that are tried again later.", unfinished["later"])
    yield _gauge("xray_leases", "Analyses that a worker holds.", unfinished["leased"])
    yield _gauge(
        "xray_leases_expired", "Leases that ran out and were not taken back yet.", unfinished["expired"]
    )
    open_submissions = Submission.objects.open().count()
    yield _gauge("xray_submissions_open", "Submissions that still take files.", open_submissions)


def _ended() -> Iterator[Metric]:
    recent = Analysis.objects.filter(finished_at__gt=Now() - WINDOW).order_by()
    verdicts = _family("xray_recent_verdicts", "Results of the last 15 minutes.", "verdict")
    for verdict, count in recent.filter(state=State.SUCCEEDED).values_list("verdict").annotate(Count("pk")):
        verdicts.add_metric([verdict], count)
    failures = _family("xray_recent_failures", "Analyses given up in the last 15 minutes.", "reason")
    for reason, count in recent.filter(state=State.FAILED).values_list("error_kind").annotate(Count("pk")):
        failures.add_metric([reason or "unknown"], count)
    yield from (verdicts, failures)


def _stages() -> Iterator[Metric]:
    about = "of a view's stages, of the waiting, and from request to result (last 15 minutes)"
    median = _family("xray_stage_median_seconds", f"Median {about}.", "stage")
    p95 = _family("xray_stage_p95_seconds", f"95th percentile {about}.", "stage")
    for latency in latency_of(None, WINDOW):
        median.add_metric([latency.stage], latency.median / 1000)
        p95.add_metric([latency.stage], latency.p95 / 1000)
    yield from (median, p95)


def _processes() -> Iterator[Metric]:
    active = Bundle.objects.active().values_list("name", flat=True).first() or ""
    workers = _family("xray_workers", "Live workers, by whether the active bundle is loaded.", "state")
    ready = live_workers().aggregate(ready=Count("pk", filter=Q(bundle=active)), all=Count("pk"))
    workers.add_metric(["ready"], ready["ready"])
    workers.add_metric(["loading"], ready["all"] - ready["ready"])
    yield workers
    rounds = Heartbeat.objects.filter(name=Heartbeat.RECONCILER)
    silent: timedelta | None = rounds.aggregate(age=Max(Now() - F("last_seen")))["age"]
    age = math.inf if silent is None else silent.total_seconds()
    yield _gauge("xray_reconciler_age_seconds", "Seconds since the reconciler's last round.", age)
    info = GaugeMetricFamily("xray_build_info", "What runs here.", labels=("version", "bundle"))
    info.add_metric([settings.VERSION, active], 1)
    yield info


def _deliveries() -> Iterator[Metric]:
    waiting = Delivery.objects.unfinished().aggregate(n=Count("pk"), age=Max(Now() - F("created_at")))
    yield _gauge("xray_deliveries_waiting", "DICOM results that are still to be sent.", waiting["n"])
    age = waiting["age"].total_seconds() if waiting["age"] else 0
    yield _gauge("xray_deliveries_oldest_seconds", "How long the oldest of them has been.", age)
    failed = Delivery.objects.filter(state=Delivery.State.FAILED, finished_at__gt=Now() - timedelta(days=1))
    reasons = _family("xray_deliveries_given_up", "Deliveries given up in the last day.", "reason")
    for reason, count in failed.order_by().values_list("error_kind").annotate(Count("pk")):
        reasons.add_metric([reason or "unknown"], count)
    yield reasons


def _audit() -> Iterator[Metric]:
    total = AuditHead.objects.aggregate(total=Sum("number"))["total"] or 0
    yield CounterMetricFamily("xray_audit_events", "Events of all chains.", value=total)
    checks = ChainCheck.objects.aggregate(
        broken=Count("pk", filter=Q(broken_at__isnull=False)),
        oldest=Max(Now() - F("checked_at")),
    )
    yield _gauge("xray_audit_chains_broken", "Chains whose last check found them broken.", checks["broken"])
    if checks["oldest"] is not None:
        help_text = "Seconds since the chain whose check lies farthest back was checked."
        yield _gauge("xray_audit_check_age_seconds", help_text, checks["oldest"].total_seconds())


def _storage() -> Iterator[Metric]:
    disk = disk_of_files()
    if disk is not None:
        yield _gauge("xray_storage_free_bytes", "Free space where the files lie.", disk.free)
        yield _gauge("xray_storage_size_bytes", "All space where the files lie.", disk.total)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _family(name: str, documentation: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=(label,))
