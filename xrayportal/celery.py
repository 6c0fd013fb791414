"""The Celery application and every number that bounds a task, in one place.

A message is only a wake-up: the work, its attempts and its leases are rows in PostgreSQL
(docs/queue.md). So a lost message costs seconds, a doubled one an empty query.
"""

from __future__ import annotations

import os
import ssl

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xrayportal.settings")
# Django's checks import every page of the portal, which a worker does not need.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

from django.conf import settings  # the line above must come first

from xrayportal import broker

#: Holds wake-ups only; the lanes (interactive, bulk) are in PostgreSQL.
QUEUE = "analyses"
#: The task that a wake-up names, not its module: a wake-up in Redis outlives where the code stood when it
#: was sent. Web processes never import the worker.
WAKE_UP = "inference_worker.tasks.analyse_waiting"

#: Seconds after which the parent kills the child. No batch is legitimately that long, so it is hung.
HARD_SECONDS: int = settings.TASK_HARD_SECONDS
#: A little earlier the worker begins nothing more, and hands back in good order what is left of its batch.
SOFT_SECONDS = 0.9 * HARD_SECONDS
#: An unacknowledged message comes back after this. Below the hard limit, a running task would run twice.
VISIBILITY_SECONDS = 1.1 * HARD_SECONDS

broker.use()
app = Celery("xrayportal")
app.conf.update(
    # JSON without content, no results: PostgreSQL has both.
    broker_url=settings.REDIS_URL,
    # Celery would take any certificate; what the address says (``?ssl_cert_reqs=…``) counts more.
    broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED} if settings.REDIS_URL.startswith("rediss:") else None,
    result_backend=None,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_default_queue=QUEUE,
    imports=["inference_worker.celery_worker.tasks"],
    # One child, one batch at a time: a network uses all the cores that it is given. No wake-up lies
    # with a worker that is busy while another has nothing to do.
    worker_pool="prefork",
    worker_concurrency=1,
    worker_prefetch_multiplier=1,
    # The wake-up of a worker that died wakes another one.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=HARD_SECONDS,
    # The child loads and warms its network before it takes tasks; Celery would give it four seconds.
    worker_proc_alive_timeout=120,
    # Redis may be away at any time; the worker waits for it, and goes on with what it has claimed.
    worker_consumer="inference_worker.celery_worker.consumer:Consumer",
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_transport_options={
        # Everything of this portal has this prefix: two portals can share one Redis.
        "global_keyprefix": settings.REDIS_KEY_PREFIX,
        "visibility_timeout": VISIBILITY_SECONDS,
        # No wake-up comes before another: one list instead of four, to count and to listen to.
        "priority_steps": [0],
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        # A web request waits this long at most for a Redis that does not answer.
        "socket_connect_timeout": 1,
        "socket_timeout": 2,
        "retry_on_timeout": False,
        "max_retries": 0,
    },
    worker_redirect_stdouts=False,
    # Workers are not steered through Redis, so nobody else must be able to.
    worker_enable_remote_control=False,
)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _leave_logging_alone(**_: object) -> None:
    """Logging is Django's (``settings.LOGGING``): a receiver keeps Celery from setting the root's level."""
