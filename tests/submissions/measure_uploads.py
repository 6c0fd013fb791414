"""Sends 1,000 pictures through the page to a portal's real processes and prints what that cost.

``pytest tests/submissions/measure_uploads.py -s``: gunicorn as in the Procfile, one worker, one reconciler,
Chromium. Not part of the suite. The pictures are drawn and all different; ``UPLOADS=200`` sends fewer.
docs/uploads.md has the figures of one run.
"""

from __future__ import annotations

import os
import socket
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import psutil
import pytest
from django.conf import settings
from django.test import Client
from PIL import Image as Picture
from playwright.sync_api import Browser, CDPSession, Error, Page, Response, expect

from tests.factories import make_clinic, make_user
from tests.live.conftest import Portal, portal, redis_server, until
from tests.submissions.uploads import SUBMISSION, drop
from xrayportal.analyses.models import Analysis
from xrayportal.audit.services import verify
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Upload

__all__ = ["portal", "redis_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FILES = int(os.environ.get("UPLOADS", "1000"))
WATCH = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ entryTypes: ["longtask"] });
}"""


def draw(folder: Path) -> list[Path]:
    """Grey pictures of 320 by 400 with a bright bar and noise: about 36 kB each."""
    random = np.random.default_rng(1)
    across = np.arange(320)[np.newaxis, :]
    paths = []
    for number in range(FILES):
        bar = 150 * np.exp(-(((across - 160 - random.normal(0, 20)) / 45) ** 2))
        grey = 30 + bar + random.normal(0, 6, (400, 320))
        paths.append(folder / f"case_{number:04}.jpg")
        Picture.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def serve(portal: Portal) -> tuple[str, psutil.Process]:
    """The web process of the Procfile on a free port."""
    assert portal.start("static", "manage.py", "collectstatic", "--no-input").wait(timeout=120) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = "--worker-class xrayportal.http_worker.LaneWorker --workers 2 --threads 8"
    options += " --timeout 60 --preload --no-control-socket"
    web = portal.start(
        *("web", "-m", "gunicorn", "xrayportal.wsgi", "--bind", f"127.0.0.1:{port}", *options.split()),
        LOG_LEVEL="WARNING",
    )

    def answers() -> bool:
        with suppress(URLError, ConnectionError), urllib.request.urlopen(f"{address}/readyz", timeout=5):
            return True
        return False

    address = f"http://127.0.0.1:{port}"
    until(answers, 60)
    return address, psutil.Process(web.pid)


class Watched:
    """The worst figures of the page and the server during an upload."""

    def __init__(self, page: Page, web: psutil.Process) -> None:
        self.page, self.web = page, web
        self.devtools: CDPSession = page.context.new_cdp_session(page)
        self.devtools.send("Performance.enable")
        self.refused: list[int] = []
        self.worst: dict[str, float] = {}
        page.on("response", self.note)
        page.evaluate(WATCH)

    def note(self, response: Response) -> None:
        """Count answers that are not a success."""
        if response.status >= 400:
            self.refused.append(response.status)

    def look(self) -> None:
        """Read each figure and keep the worst."""
        with suppress(Error):  # the page is on its way to the next
            found: dict[str, float] = {"longest task, ms": self.page.evaluate("window.longest ?? 0")}
            found["elements"] = self.page.evaluate("document.getElementsByTagName('*').length")
            metrics: list[dict[str, Any]] = self.devtools.send("Performance.getMetrics")["metrics"]
            heap = next(metric["value"] for metric in metrics if metric["name"] == "JSHeapUsedSize")
            found["script memory, MB"] = heap / 1e6
            for name, value in found.items():
                self.worst[name] = max(self.worst.get(name, 0), value)
        resident = max(process.memory_info().rss for process in self.web.children())
        self.worst["web process, MiB"] = max(self.worst.get("web process, MiB", 0), resident / 2**20)


def test_measure(browser: Browser, portal: Portal, tmp_path: Path) -> None:
    clinic = make_clinic(slug="north")
    client = Client()  # signed in here: the tests' passwords are hashed in a way that the portal refuses
    client.force_login(make_user(clinic, Role.UPLOADER))
    address, web = serve(portal)
    portal.worker(LOG_LEVEL="WARNING")
    portal.reconciler(LOG_LEVEL="WARNING")
    paths = draw(tmp_path)
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/c/north/upload/")
    watched = Watched(page, web)
    begun = time.monotonic()
    drop(page, paths)
    while not SUBMISSION.search(page.url):
        watched.look()
        page.wait_for_timeout(500)
    sent = time.monotonic() - begun
    expect(page.locator(".submission-summary")).to_contain_text(f"{FILES} accepted")
    done = f"{FILES} of {FILES} studies done"
    expect(page.locator(".submission-summary")).to_contain_text(done, timeout=900_000)
    read = time.monotonic() - begun
    context.close()
    assert Upload.objects.filter(outcome="accepted").count() == FILES
    assert Analysis.objects.filter(state="succeeded").count() == FILES
    assert verify(clinic=clinic).is_whole
    figures = {
        "files": FILES,
        "sent after, s": sent,
        "files a second": FILES / sent,
        "all read after, s": read,
        **watched.worst,
        "answers that were no success": len(watched.refused),
        "error lines of the servers": sum(portal.log(name).count(" ERROR ") for name in ("web", "worker")),
        "load of the machine (5 min)": os.getloadavg()[1],
    }
    for name, value in figures.items():
        print(f"{name:<30} {value:10.1f}")  # noqa: T201  what it is for
