"""What can be done to a portal while it works: each ends when what was taken away is there again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import redis

from trials.portal import Portal
from xrayportal.embedded.environment import PortalFile


def faults(portal: Portal) -> dict[str, Callable[[], None]]:
    """What is done to the portal, by its name in the report; a full disk only where that harms nobody."""
    chosen: dict[str, Callable[[], None]] = {
        "worker's child killed": partial(_kill_child, portal, "worker", "celery"),
        "decoder killed": partial(_kill_child, portal, "worker", "inference_worker.decode.child"),
        "worker killed with its children": partial(_kill_group, portal, "worker"),
        "worker's parent killed": partial(_kill, portal, "worker"),
        "web process killed": partial(_kill_child, portal, "web", "gunicorn"),
        "web's first process killed": partial(_kill, portal, "web"),
        "reconciler killed": partial(_kill, portal, "reconciler"),
        "Redis killed": partial(_kill, portal, "redis"),
        "Redis wiped": partial(_wipe_redis, portal),
        "Redis frozen for 8 s": partial(_freeze_redis, portal, 8),
        "PostgreSQL stopped fast": partial(_kill, portal, "postgres", signal.SIGINT),
        "PostgreSQL stopped immediately": partial(_kill, portal, "postgres", signal.SIGQUIT),
        "PostgreSQL killed": partial(_kill, portal, "postgres"),
        "worker frozen for 20 s": partial(_freeze_worker, portal, 20),
        "file storage away for 5 s": partial(_take_storage_away, portal, 5),
    }
    if portal.is_mounted:
        chosen["file storage full for 5 s"] = partial(_fill_storage, portal, 5)
        chosen["file storage read-only for 5 s"] = partial(_forbid_writing, portal, 5)
    return chosen


def point(link: Path, target: str) -> None:
    """Make the link lead elsewhere, in one step."""
    other = link.with_name("link")
    other.symlink_to(target)
    other.replace(link)


def _kill(portal: Portal, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(portal.pid(name), number)


def _kill_group(portal: Portal, name: str) -> None:
    os.killpg(portal.pid(name), signal.SIGKILL)


def _kill_child(portal: Portal, name: str, contains: str) -> None:
    for process in portal.children(name, contains)[:1]:
        process.kill()


def _wipe_redis(portal: Portal) -> None:
    with redis.Redis.from_url(PortalFile(portal.var).values["REDIS_URL"]) as client:
        client.flushall()


def _freeze_redis(portal: Portal, seconds: float) -> None:
    os.kill(portal.pid("redis"), signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(portal.pid("redis"), signal.SIGCONT)


def _freeze_worker(portal: Portal, seconds: float) -> None:
    frozen = [psutil.Process(portal.pid("worker")), *portal.children("worker")]
    for process in frozen:
        process.suspend()
    time.sleep(seconds)
    for process in frozen:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def _take_storage_away(portal: Portal, seconds: float) -> None:
    point(portal.media, "a-file")
    time.sleep(seconds)
    point(portal.media, "real")


def _fill_storage(portal: Portal, seconds: float) -> None:
    filler = portal.media.parent / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(1024 * 1024))
    time.sleep(seconds)
    filler.unlink()


def _forbid_writing(portal: Portal, seconds: float) -> None:
    _remount("ro", portal.media.parent)
    time.sleep(seconds)
    _remount("rw", portal.media.parent)


def _remount(mode: str, folder: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)
