"""The health of each service the portal needs, without patient content.

A service is a dictionary with ``ok`` and whatever else is worth knowing, ready for JSON.
"""

from __future__ import annotations

import functools
import os
import socket
import threading
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Count, Q
from django.db.models.functions import Now

from xrayportal.analyses.models import Analysis, Bundle, Heartbeat
from xrayportal.analyses.workers import live_workers
from xrayportal.dicom.node import ROUND_SECONDS
from xrayportal.studies.models import Queue
from xrayportal.studies.storage import StorageUnavailableError, read_stored, write_durably

#: Rounds that the reconciler may miss; one with much to repair takes longer than its pause.
ROUNDS_MISSED = 10
#: Redis answers at once or not at all.
BROKER_SECONDS = 1.0
#: The file storage is tried with a small file, so often at most.
STORAGE_SECONDS = 10

Service = dict[str, Any]
#: Without Redis idle workers ask PostgreSQL every few seconds: studies begin that much later. Without a DICOM
#: node archives keep what they send, and results wait.
SPARED = frozenset({"broker", "dicom_node"})


@functools.cache
def expected_migrations() -> frozenset[tuple[str, str]]:
    """The migrations of the code, which change only with a release, that is, with a new process."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return frozenset((app, name) for app, name in loader.disk_migrations if app in loader.migrated_apps)


def database() -> Service:
    """Whether PostgreSQL answers a trivial query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        return {"ok": False, "reason": type(error).__name__}
    return {"ok": True}


def migrations() -> Service:
    """Whether the database has the tables that this code expects."""
    try:
        applied = MigrationRecorder(connection).applied_migrations().keys()
    except Error as error:
        return {"ok": False, "reason": type(error).__name__}
    missing = len(expected_migrations() - set(applied))
    return {"ok": missing == 0, "missing": missing}


def broker() -> Service:
    """Whether Redis answers a ping within ``BROKER_SECONDS``, without a second try."""
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=BROKER_SECONDS,
        socket_connect_timeout=BROKER_SECONDS,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    )
    try:
        client.ping()
    except redis.exceptions.RedisError as error:
        return {"ok": False, "reason": type(error).__name__}
    finally:
        client.close()
    return {"ok": True}


def storage() -> Service:
    """Whether the file storage takes, gives and removes a small file; asked every few seconds at most."""
    known: Service | None = cache.get("health.storage")
    if known is None:
        known = _storage()
        cache.set("health.storage", known, STORAGE_SECONDS)
    return known


def _storage() -> Service:
    name = f"health/{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    try:
        write_durably(name, b"ok")
        ok = read_stored(name) == b"ok"
        default_storage.delete(name)
    except StorageUnavailableError as error:
        return {"ok": False, "reason": type(error.__cause__ or error).__name__}
    except Exception as error:  # noqa: BLE001  # each storage has its own
        return {"ok": False, "reason": type(error).__name__}
    return {"ok": ok}


def workers() -> Service:
    """The live workers; ok if one of them has the active bundle loaded."""
    active = Bundle.objects.active().values_list("name", flat=True).first()
    rows = list(live_workers().order_by("started_at").values("bundle", "runtime", "precision", "last_seen"))
    return {
        "ok": active is not None and any(row["bundle"] == active for row in rows),
        "active_bundle": active,
        "live": rows,
    }


def queues() -> dict[str, dict[str, int]]:
    """Analyses waiting and running, by queue."""
    counted = Analysis.objects.unfinished().values("queue")
    rows = counted.annotate(
        waiting=Count("pk", filter=Q(state=Analysis.State.QUEUED)),
        running=Count("pk", filter=Q(state=Analysis.State.RUNNING)),
    )
    by_queue = {row["queue"]: {"waiting": row["waiting"], "running": row["running"]} for row in rows}
    return {queue: by_queue.get(queue, {"waiting": 0, "running": 0}) for queue in Queue.values}


def reconciler() -> Service:
    """Whether a reconciler lives, by its last round: without one, interrupted work is not noticed."""
    return _by_heartbeat(Heartbeat.RECONCILER, round_seconds=max(settings.RECONCILE_SECONDS, 1))


def dicom_node() -> Service | None:
    """Whether a DICOM node lives, by its last round; None where the portal has none."""
    if not (settings.DICOM_PORT or settings.DICOM_TLS_PORT):
        return None
    return _by_heartbeat(Heartbeat.DICOM_NODE, round_seconds=ROUND_SECONDS)


def _by_heartbeat(name: str, *, round_seconds: float) -> Service:
    patience = timedelta(seconds=ROUNDS_MISSED * round_seconds)
    rows = Heartbeat.objects.filter(name=name).annotate(fresh=Q(last_seen__gte=Now() - patience))
    heartbeat = rows.first()
    return {"ok": heartbeat is not None and heartbeat.fresh, "last_seen": heartbeat and heartbeat.last_seen}


def readiness() -> dict[str, Service]:
    """The services that this web process needs to serve pages."""
    services = {"database": database()}
    if services["database"]["ok"]:
        services["migrations"] = migrations()
    return services


def status() -> dict[str, Service]:
    """The services that a study sent now needs to be analysed, without those that could not be asked."""
    ready = readiness()
    services = {**ready, "broker": broker(), "storage": storage()}
    if not missing(ready):
        services["workers"] = workers()
        services["reconciler"] = reconciler()
        node = dicom_node()
        if node is not None:
            services["dicom_node"] = node
        services["queues"] = {"ok": True, **queues()}
    return services


def missing(services: dict[str, Service]) -> list[str]:
    """The names of the services that do not work, without those that can be done without."""
    return [name for name, service in services.items() if not service["ok"] and name not in SPARED]


def degraded(services: dict[str, Service]) -> list[str]:
    """The names of the services that do not work and can be done without for a while."""
    return [name for name, service in services.items() if not service["ok"] and name in SPARED]
