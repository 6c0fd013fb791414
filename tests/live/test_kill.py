"""Whatever is killed or wiped, every study is analysed exactly once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest
import redis

from tests.live.conftest import Portal, child, kill, states, until
from tests.waiting import PATIENCE
from xrayportal.analyses.models import Analysis, Finding, Worker
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import verify
from xrayportal.studies.models import Study, Submission

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

Submit = Callable[..., Submission]


def assert_all_succeeded_once(submission: Submission, count: int) -> None:
    """One succeeded analysis, one finding a view, one event for each study, and the chain is whole."""
    studies = Study.objects.filter(submission=submission)
    assert studies.count() == count
    assert states() == {"succeeded": count}
    assert Analysis.objects.values("study").distinct().count() == count
    assert Finding.objects.values("image").distinct().count() == Finding.objects.count() == count
    assert not studies.filter(current=None).exists()
    assert AuditEvent.objects.filter(action=Action.ANALYSIS_SUCCEEDED).count() == count
    assert verify(clinic=submission.clinic).is_whole


def in_the_middle(count: int) -> bool:
    """Some have succeeded, some wait, and one is being read."""
    now = states()
    return now.get("succeeded", 0) >= count // 4 and now.get("running", 0) > 0 and now.get("queued", 0) > 0


def test_the_worker_is_killed_and_redis_is_wiped(portal: Portal, submit: Submit) -> None:
    portal.reconciler()
    worker = portal.worker(STRANGE_SECONDS="0.05")
    submission = submit(40)
    until(lambda: in_the_middle(40))
    kill(worker)
    redis.Redis.from_url(portal.redis.url).flushall()
    portal.worker()
    until(lambda: states() == {"succeeded": 40})
    assert_all_succeeded_once(submission, 40)
    assert Worker.objects.count() >= 1


def test_the_child_is_killed_and_redis_restarts_empty(portal: Portal, submit: Submit) -> None:
    portal.reconciler()
    worker = portal.worker(STRANGE_SECONDS="0.05")
    submission = submit(24)
    until(lambda: in_the_middle(24))
    os.kill(child(worker).pid, signal.SIGKILL)
    portal.redis.stop()
    portal.redis.start()
    until(lambda: states() == {"succeeded": 24})
    assert worker.poll() is None, "the parent goes on with a new child"
    assert_all_succeeded_once(submission, 24)


def test_the_child_is_killed_while_redis_is_away(portal: Portal, submit: Submit) -> None:
    """The parent cannot give the message back; it must notice the lost connection all the same, and replace
    the child although Redis stays away: the new one asks PostgreSQL for work.

    Which of the two it sees first is chance: with the parent held, both have happened before it looks.
    """
    portal.reconciler()
    worker = portal.worker(STRANGE_SECONDS="0.05")
    submission = submit(24)
    until(lambda: in_the_middle(24))
    dying = child(worker)
    worker.send_signal(signal.SIGSTOP)
    portal.redis.stop()
    dying.kill()
    worker.send_signal(signal.SIGCONT)
    until(lambda: not dying.is_running() or dying.status() == psutil.STATUS_ZOMBIE)
    until(lambda: states() == {"succeeded": 24})  # by a new child, without Redis
    assert child(worker).pid != dying.pid
    assert_all_succeeded_once(submission, 24)
    portal.redis.start()
    submit(2)
    until(lambda: states() == {"succeeded": 24 + 2})
    assert worker.poll() is None, "the parent goes on with a new child"


def test_redis_is_down_when_studies_are_submitted(portal: Portal, submit: Submit) -> None:
    portal.redis.stop()
    submission = submit(6)
    assert states() == {"queued": 6}
    portal.redis.start()
    portal.worker()
    portal.reconciler()
    until(lambda: states() == {"succeeded": 6})
    assert_all_succeeded_once(submission, 6)


def test_redis_stays_away(portal: Portal, submit: Submit) -> None:
    """An idle worker asks PostgreSQL by itself, one that starts meanwhile too."""
    portal.reconciler()
    portal.worker()
    until(lambda: Worker.objects.exclude(bundle="").count() == 1)
    portal.redis.stop()
    first = submit(6)
    until(lambda: states() == {"succeeded": 6})
    assert_all_succeeded_once(first, 6)
    portal.worker()
    until(lambda: Worker.objects.exclude(bundle="").count() == 2)
    submit(12)
    until(lambda: states() == {"succeeded": 6 + 12})


def test_two_workers_share_the_work(portal: Portal, submit: Submit) -> None:
    portal.reconciler()
    workers = [portal.worker(STRANGE_SECONDS="0.1", XRAY_BATCH="2") for _ in range(2)]
    until(lambda: Worker.objects.exclude(bundle="").count() == 2)
    for worker in workers:
        libraries = " ".join(part.path for part in child(worker).memory_maps())
        assert "openvino" in libraries
        assert "libtensorflow" not in libraries, "it would cost more than all the rest"
    submission = submit(16)
    until(lambda: states() == {"succeeded": 16})
    assert_all_succeeded_once(submission, 16)
    assert Analysis.objects.values("worker").distinct().count() == 2


def test_term_ends_after_the_batch_and_leaves_nothing_behind(portal: Portal, submit: Submit) -> None:
    reconciler = portal.reconciler()
    worker = portal.worker(STRANGE_SECONDS="0.2")
    submit(12)
    until(lambda: states().get("running"))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=PATIENCE) == 0
    assert "running" not in states()
    assert states()["queued"] > 0
    assert not Worker.objects.exists()
    reconciler.send_signal(signal.SIGTERM)
    assert reconciler.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in portal.log("worker") + portal.log("reconciler")
