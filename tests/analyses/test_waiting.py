"""The predicted place and time of a waiting analysis, against the claims that follow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from tests.factories import make_analysis, make_clinic, make_study
from xrayportal.analyses.models import Analysis, Worker
from xrayportal.analyses.queue.claims import claim_analyses
from xrayportal.analyses.queue.waiting import waiting_position
from xrayportal.studies.models import Queue
from xrayportal.web.shared.status import waiting_status

pytestmark = pytest.mark.django_db

Waiting = Callable[..., Analysis]


def claimed_after(row: Analysis) -> int:
    """The number of claims of one analysis until this row is claimed."""
    for count in range(1, 1000):
        (taken,) = claim_analyses(worker="w", limit=1)
        if taken.pk == row.pk:
            return count
    raise AssertionError("never claimed")


def test_alone_it_is_next(waiting: Waiting) -> None:
    assert waiting_position(waiting(make_clinic())).position == 1


@pytest.mark.parametrize("queue", [Queue.INTERACTIVE, Queue.BULK])
def test_the_position_is_about_the_number_of_claims_before_it(waiting: Waiting, queue: str) -> None:
    own, busy, quiet = (make_clinic() for _ in range(3))
    for _ in range(40):
        waiting(busy, queue=queue)
    for _ in range(12):
        waiting(own, queue=queue)
    for _ in range(3):
        waiting(quiet, queue=queue)
    for _ in range(60):
        waiting(busy, queue=Queue.BULK if queue == Queue.INTERACTIVE else Queue.INTERACTIVE)
    row = waiting(own, queue=queue)
    for _ in range(5):
        waiting(own, queue=queue)
    position = waiting_position(row).position
    assert position == pytest.approx(claimed_after(row), abs=5)


def finished(clinic_worker: str, at: datetime, started: datetime) -> None:
    """An analysis that a worker has finished."""
    analysis = make_analysis(make_study(views=0), worker=clinic_worker, started_at=started)
    Analysis.objects.filter(pk=analysis.pk).update(finished_at=at)


def test_the_time_follows_from_recent_work_and_live_workers(waiting: Waiting) -> None:
    """Two batches: what counts is the time since the one before, not since the claim of the batch."""
    began = timezone.now() - timedelta(minutes=5)
    for batch in range(2):
        claimed = began + timedelta(seconds=60 * batch)
        for number in range(1, 5):
            finished("a", claimed + timedelta(seconds=2 * number), claimed)
    Worker.objects.create(name="a")
    Worker.objects.create(name="b")
    clinic = make_clinic()
    for _ in range(9):
        waiting(clinic)
    last = waiting(clinic)
    told = waiting_position(last)
    assert told.position == 10
    assert told.seconds == pytest.approx(5 * 2.0, abs=0.1)
    assert told.seconds_slow == pytest.approx(5 * 2.0, abs=0.1)


def test_those_that_were_stored_together_share_their_time(waiting: Waiting) -> None:
    """Else all but the first of a group would count as done in no time."""
    began = timezone.now() - timedelta(minutes=5)
    for group in range(1, 4):
        for number in range(8):
            finished("a", began + timedelta(seconds=4 * group), began + timedelta(seconds=number / 10))
    Worker.objects.create(name="a")
    told = waiting_position(waiting(make_clinic()))
    assert told.seconds == pytest.approx(0.5, abs=0.01)
    assert told.seconds_slow == pytest.approx(0.5, abs=0.01)


def test_the_slow_case_is_slower_when_times_vary(waiting: Waiting) -> None:
    began = timezone.now() - timedelta(minutes=5)
    for number in range(20):
        start = began + timedelta(seconds=10 * number)
        finished("a", start + timedelta(seconds=8 if number % 4 == 0 else 1), start)
    Worker.objects.create(name="a")
    told = waiting_position(waiting(make_clinic()))
    assert told.seconds == pytest.approx(1, abs=0.1)
    assert told.seconds_slow == pytest.approx(8, abs=0.1)


def test_no_time_is_told_while_every_worker_is_busy_for_unusually_long(waiting: Waiting) -> None:
    """What was "about 5 s" for five minutes."""
    now = timezone.now()
    for number in range(10):
        start = now - timedelta(minutes=10, seconds=-2 * number)
        finished("a", start + timedelta(seconds=2), start)
    Worker.objects.create(name="a")
    held = make_analysis(make_study(views=0), state="running", worker="a", leased_until=now)
    Analysis.objects.filter(pk=held.pk).update(started_at=now - timedelta(seconds=5))
    row = waiting(make_clinic())
    assert waiting_position(row).seconds == pytest.approx(2, abs=0.1), "not long yet"
    cache.clear()
    Analysis.objects.filter(pk=held.pk).update(started_at=now - timedelta(seconds=30))
    told = waiting_position(row)
    assert (told.seconds, told.is_held_up) == (None, True)
    assert "takes unusually long" in waiting_status(told).words
    cache.clear()
    Worker.objects.create(name="b")
    told = waiting_position(row)
    assert told.seconds == pytest.approx(2, abs=0.1), "the other worker is free"


def test_without_a_worker_no_time_is_told(waiting: Waiting) -> None:
    now = timezone.now()
    finished("a", now, now - timedelta(seconds=1))
    told = waiting_position(waiting(make_clinic()))
    assert (told.position, told.seconds, told.seconds_slow) == (1, None, None)
    assert "no worker is running" in waiting_status(told).words
