"""A reading session in Chromium against the Procfile's gunicorn: study after study, two keys each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from benchmarks.processes import web
from benchmarks.registry import Row, UnmeasurableError, benchmark
from benchmarks.scratch import manage, scratch_portal
from benchmarks.timing import row

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

SLUG = "session"
#: Of these about a sixth are signed already or have no result.
SEEDED = 400
WARM, COLD, REMEMBERED = 60, 20, 200
#: Studies between two looks at the page's memory, and those at the beginning that fill its caches: heap
#: snapshots show that for about so many the browser goes on compiling functions and keeps what it compiled.
EVERY, FILLING = 10, 80
WIDTH, HEIGHT = 1600, 2000
LIST = "list=review&sort=oldest"
#: A person looks for longer; this is what decoding takes after the files are there.
LOOK_MS = 300

#: Counts keys, and notes when the portal's answer and the next picture's paint came after the key that signs.
WATCH = """
window.session = { keys: 0, pressed: 0, display: "", answers: [], paints: [] };
addEventListener("keydown", (event) => {
  session.keys += 1;
  if (event.key !== "s") return;
  session.pressed = event.timeStamp;
  session.display = document.querySelector("figure.viewer").dataset.displayUrl;
}, true);
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { pressed, answers } = session;
  if (pressed && detail.target.id === "page") answers.push(performance.now() - pressed);
}, true);
document.addEventListener("viewer:ready", ({ target }) => {
  const { pressed, display } = session;
  if (!pressed || target.dataset.displayUrl === display) return;
  session.pressed = 0;
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {  // after that frame's paint
      session.paints.push(performance.now() - pressed);
      port1.close();
    };
    port2.postMessage(null);
  });
}, true);
"""
#: The page then finds nothing to fetch ahead.
NOTHING_AHEAD = """
document.addEventListener("viewer:ready", () => {
  for (const element of document.querySelectorAll("[data-ahead]")) element.removeAttribute("data-ahead");
}, true);
"""
AHEAD = """[...document.querySelectorAll("[data-ahead]")]
  .flatMap(({ dataset }) => JSON.parse(dataset.ahead || "[]"))
  .flatMap(({ display, map }) => (map ? [display, map] : [display]))"""


@benchmark("reading in Chromium")
def reading() -> Iterable[Row]:
    """60 studies warm, 20 cold, and the page's memory over 200."""
    from tests.chromium import find

    if find() is None and not shutil.which("playwright"):
        raise UnmeasurableError("there is no Chromium")
    with scratch_portal() as environment:
        os.environ.update(environment)
        import django

        django.setup()
        manage(environment, "create_clinic", "--blind-reading", "no", "--name", "Session", "--slug", SLUG)
        manage(environment, "seed_studies", "--clinic", SLUG, "--studies", str(SEEDED), "--days", "30")
        draw_studies()
        cookie = _reader_cookie()
        with web(environment) as port, _page(port, cookie) as page:
            session = Session(page)
            session.start(f"/c/{SLUG}/?{LIST}")
            session.read(REMEMBERED)
            yield from session.rows(WARM)
            yield from session.memory_rows()
            session.fetch_nothing_ahead()
            before = len(session.paints)
            session.read(COLD, look_ms=0)
            yield row("key to next picture, nothing fetched ahead", session.paints[before:], at_most=400)
            yield row("  of it until the portal's answer", session.answers[before:])


@dataclass
class Traffic:
    """What came over the network: answers, their bytes, and the addresses that are there completely."""

    answers: int = 0
    size: int = 0
    complete: set[str] = field(default_factory=set)
    _paths: dict[str, str] = field(default_factory=dict)

    def watch(self, cdp: CDPSession) -> None:
        """Count from here on, through Chromium's DevTools."""
        cdp.on("Network.responseReceived", self._on_response)
        cdp.on("Network.loadingFinished", self._on_end)
        cdp.send("Network.enable")

    def _on_response(self, event: dict[str, Any]) -> None:
        response = event["response"]
        self._paths[event["requestId"]] = urlsplit(response["url"]).path
        # The page's own addresses (blob:, data:) and the browser's cache cost the network nothing.
        if response["url"].startswith("http") and not response.get("fromDiskCache"):
            self.answers += 1

    def _on_end(self, event: dict[str, Any]) -> None:
        path = self._paths.pop(event["requestId"], "")
        self.complete.add(path)
        self.size += int(event["encodedDataLength"])


@dataclass(frozen=True)
class Memory:
    """What the page holds after a collection of garbage."""

    studies: int
    heap: int
    nodes: int
    listeners: int


class Session:
    """A reading session, gone through by keys, with what each study took."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._cdp = page.context.new_cdp_session(page)
        #: Milliseconds from the key that signs until the answer and until the next picture, of each study.
        self.answers: list[float] = []
        self.paints: list[float] = []
        self.requests: list[float] = []
        self.kilobytes: list[float] = []
        #: Keys pressed so far, after each study.
        self.keys: list[int] = []
        self.memory: list[Memory] = []
        self._traffic = Traffic()
        self._traffic.watch(self._cdp)

    def start(self, worklist: str) -> None:
        """Start reading the list of an address, and wait for the first picture."""
        self._page.add_init_script(WATCH)
        self._page.goto(worklist)
        self._page.get_by_role("button", name="Start reading").click()
        self._page.locator("figure.viewer[data-ready]").wait_for(timeout=30_000)
        self._page.wait_for_load_state()

    def read(self, studies: int, *, look_ms: int = LOOK_MS) -> None:
        """Sign so many studies; each is looked at until what comes next is there, and ``look_ms`` longer."""
        self._await_neighbours(look_ms)
        for _ in range(studies):
            answers, size = self._traffic.answers, self._traffic.size
            self._page.keyboard.press("1")
            self._page.keyboard.press("s")
            self._await_paint()
            self._await_neighbours(look_ms)
            self.requests.append(self._traffic.answers - answers)
            self.kilobytes.append((self._traffic.size - size) / 1000)
            if len(self.paints) % EVERY == 0:
                self.memory.append(self._memory())

    def fetch_nothing_ahead(self) -> None:
        """Read on to where nothing is at hand; from there every picture is fetched when it is wanted."""
        self._page.evaluate(NOTHING_AHEAD)
        self.read(3, look_ms=0)

    def rows(self, studies: int) -> Iterator[Row]:
        """What the first ``studies`` took."""
        yield row("key to next picture, neighbours at hand", self.paints[:studies], at_most=150)
        yield row("  of it until the portal's answer", self.answers[:studies])
        yield row(f"keys for {studies} signed studies", [self.keys[studies - 1]], "", at_most=2 * studies)
        yield row("requests a study", self.requests[:studies], "")
        yield row("transferred a study", self.kilobytes[:studies], "kB")

    def memory_rows(self) -> Iterator[Row]:
        """Growth of what the page holds, as the slope of a line through all looks but the first ones."""
        looks = [look for look in self.memory if look.studies > FILLING]
        yield row("page's JavaScript heap", [look.heap / 1e6 for look in looks], "MB")
        yield row("  growth", [slope(looks, "heap") / 1000], "kB/study", at_most=1)
        yield row("page's nodes", [float(look.nodes) for look in looks], "")
        yield row("  growth", [slope(looks, "nodes")], "/study", at_most=0.5)
        yield row("  growth of its listeners", [slope(looks, "listeners")], "/study", at_most=0.1)

    def _await_paint(self) -> None:
        before = len(self.paints)
        for _ in range(3000):
            answers, paints, keys = self._page.evaluate("[session.answers, session.paints, session.keys]")
            if len(paints) > before:
                self.answers, self.paints = answers, paints
                self.keys.append(keys)
                return
            self._page.wait_for_timeout(10)
        raise UnmeasurableError(f"no picture came after study {before + 1}, at {self._page.url}")

    def _await_neighbours(self, look_ms: int) -> None:
        for _ in range(3000):
            if self._traffic.complete.issuperset(self._page.evaluate(AHEAD)):
                break
            self._page.wait_for_timeout(10)
        else:
            raise UnmeasurableError(f"what comes next was not fetched, at {self._page.url}")
        self._page.wait_for_timeout(look_ms)

    def _memory(self) -> Memory:
        for _ in range(2):  # what the first frees may hold what the second does
            self._cdp.send("HeapProfiler.collectGarbage")
        heap = self._cdp.send("Runtime.getHeapUsage")
        counters = self._cdp.send("Memory.getDOMCounters")
        return Memory(len(self.paints), heap["usedSize"], counters["nodes"], counters["jsEventListeners"])


def slope(looks: list[Memory], name: str) -> float:
    """Growth a study of one of the figures, by least squares."""
    studies = [look.studies for look in looks]
    return float(np.polyfit(studies, [getattr(look, name) for look in looks], 1)[0])


def draw_studies() -> None:
    """Give the seeded studies, which share their files, a radiograph and a map of ordinary size.

    Each becomes a patient's only one: otherwise pages grow with the earlier studies that they list.
    """
    from django.core.files.storage import default_storage
    from django.db.models import F

    from inference_worker.render import display
    from xrayportal.analyses.models import Finding
    from xrayportal.studies.models import Study

    Study.objects.update(patient_reference=F("grouping_key"))

    finding = Finding.objects.exclude(map_file="")[0]
    Path(default_storage.path(finding.display_file)).write_bytes(display(_film()))
    values = np.zeros((12, 12))
    values[5:8, 6:9] = 3.0
    evidence = {"height": 12, "width": 12, "scale": 4.0, "values": values.ravel().tolist()}
    Path(default_storage.path(finding.map_file)).write_text(json.dumps(evidence))
    Finding.objects.update(width=WIDTH, height=HEIGHT)
    Finding.objects.exclude(map_file="").update(peak_x=WIDTH * 5 // 8, peak_y=HEIGHT * 13 // 24)


def _film() -> np.ndarray:
    """Soft tissue, two bones and a detector's noise, as 8-bit grey."""
    rng = np.random.default_rng(0)
    canvas = np.full((HEIGHT, WIDTH), 10, np.float32)
    for centre, half, level in ((800, 560, 70.0), (680, 105, 80.0), (920, 80, 60.0)):
        canvas[:, centre - half : centre + half] += level
    soft = cv2.GaussianBlur(canvas, (0, 0), 16) + rng.normal(0, 3, canvas.shape)
    return np.clip(soft, 0, 255).astype(np.uint8)


def _reader_cookie() -> tuple[str, str]:
    """The session of somebody who reads in the seeded clinic."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client

    from xrayportal.clinics.models import Clinic, Membership, Role, User

    user = User.objects.create_user("reader@bench.example")
    Membership.objects.create(clinic=Clinic.objects.get(slug=SLUG), user=user, role=Role.READER)
    browser = Client()
    browser.force_login(user)
    connection.close()
    name = settings.SESSION_COOKIE_NAME
    return name, browser.cookies[name].value


@contextmanager
def _page(port: int, cookie: tuple[str, str]) -> Iterator[Page]:
    """A page of a signed-in browser."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import find

    address = f"http://127.0.0.1:{port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find())
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
        context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": address}])
        yield context.new_page()
        browser.close()
