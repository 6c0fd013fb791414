"""Wake-ups: few, quick, and harmless when Redis fails."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import kombu.utils.functional
import pytest
import redis
from django.conf import settings

from xrayportal.analyses.queue import announce
from xrayportal.celery import QUEUE, app


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """An empty broker, and no connection left over from another test."""
    server().flushdb()
    _forget(settings.REDIS_URL)
    yield
    _forget(settings.REDIS_URL)
    server().flushdb()


def _forget(url: str) -> None:
    app.conf.broker_url = url
    app._after_fork()  # what Celery itself does to forget its connections
    announce._breaker = announce._Breaker()


def server() -> redis.Redis:
    """A client of the run's Redis, without Celery."""
    return redis.Redis.from_url(settings.REDIS_URL)


def unread() -> int:
    """How many wake-ups lie in Redis."""
    return int(server().llen(settings.REDIS_KEY_PREFIX + QUEUE))


def test_a_thousand_announcements_put_few_messages() -> None:
    assert all(announce.wake_workers() for _ in range(1000))
    assert unread() == announce.ENOUGH


def test_everything_in_redis_has_the_portals_prefix() -> None:
    announce.wake_workers()
    assert all(key.startswith(settings.REDIS_KEY_PREFIX.encode()) for key in server().scan_iter())


def test_it_goes_on_after_redis_was_wiped() -> None:
    assert announce.wake_workers()
    server().flushdb()
    assert announce.wake_workers()
    assert unread() == 1


def _count_tries(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A list with one entry for each failed attempt to reach Redis, of which one is enough."""
    monkeypatch.setattr(announce, "QUIET_SECONDS", 3600.0)
    tried: list[bool] = []
    failed = announce._breaker.failed

    def note(error: Exception) -> None:
        tried.append(True)
        failed(error)

    monkeypatch.setattr(announce._breaker, "failed", note)
    return tried


def test_a_redis_that_is_down_is_told_once_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _forget(f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        tried = _count_tries(monkeypatch)
        paused: list[float] = []
        monkeypatch.setattr(kombu.utils.functional, "sleep", paused.append)
        assert not any(announce.wake_workers() for _ in range(50))
    assert len(tried) == 1
    assert paused == [], "between tries of the same wake-up"
    (line,) = [record for record in caplog.records if record.name == announce.__name__]
    assert line.levelname == "WARNING"
    assert line.exc_info is None


def test_a_redis_that_does_not_answer_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        _forget(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        tried = _count_tries(monkeypatch)
        assert not any(announce.wake_workers() for _ in range(50))
        assert len(tried) == 1
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # it was called once
            silent.accept()


def test_it_recovers_when_redis_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "QUIET_SECONDS", 0.05)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _forget(f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        assert not announce.wake_workers()
    app.conf.broker_url = settings.REDIS_URL
    app._after_fork()
    time.sleep(0.1)
    assert announce.wake_workers()
