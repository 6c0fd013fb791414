"""The viewer in Chromium: how soon a radiograph of 12 bits is shown, and how its window follows the hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from benchmarks.registry import Row, UnmeasurableError, benchmark
from benchmarks.timing import in_turns, ratios, row
from inference_worker.decode import depth
from inference_worker.decode.grey import stretch
from inference_worker.render import display, stored_depth

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIDE = 2000
ROUNDS = 12
FRAMES = 90
LOW, HIGH = 400.0, 3000.0

#: Moves the window once a frame, as a hand does, and tells the milliseconds from frame to frame.
DRAG = """(frames) => new Promise((resolve) => {
  const { lightbox } = document.querySelector("figure.viewer");
  const times = [];
  let before = performance.now();
  let left = frames;
  const step = () => {
    const now = performance.now();
    times.push(now - before);
    before = now;
    if (!left) return resolve(times.slice(5));
    left -= 1;
    const back = Math.floor(left / 20) % 2 ? 1 : -1;
    lightbox.windowBy(3 * back, 2 * back);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
IS_DEEP = "document.querySelector('figure.viewer').lightbox.stage.isDeep"


@benchmark("viewer in Chromium, 2,000 × 2,000")  # noqa: RUF001  a size is written with a multiplication sign
def viewer() -> Iterable[Row]:
    """First paint with and without a stored depth, and full-depth window drags."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import find

    if find() is None and not shutil.which("playwright"):
        raise UnmeasurableError("there is no Chromium")
    pages, close = _pages()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find())
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            yield from _measured(page, pages)
            browser.close()
    finally:
        close()


def _measured(page: Page, pages: dict[str, str]) -> Iterable[Row]:
    def show(address: str) -> None:
        page.goto(address)
        page.locator("figure.viewer[data-ready]").wait_for(timeout=30_000)

    times = in_turns(
        {name: lambda address=address: show(address) for name, address in pages.items()},  # type: ignore[misc]
        ROUNDS,
    )
    yield row("shown, 8 bits", times["shallow"])
    yield row("shown, 12 bits", times["deep"])
    yield row("12 bits over 8 bits", ratios(times["deep"], times["shallow"]), "times", at_most=1.1)
    show(pages["deep"])
    loaded = page.evaluate(
        """async () => {
          const { lightbox } = document.querySelector("figure.viewer");
          const start = performance.now();
          lightbox.windowBy(1, 1);
          await lightbox.depth.load();
          return performance.now() - start;
        }"""
    )
    yield row("stored depth there after the first touch", [loaded])
    while not page.evaluate(IS_DEEP):
        page.wait_for_timeout(20)
    for name, key in (("whole picture", "0"), ("1:1", "a"), ("four times", "++++++")):
        for one in key:
            page.keyboard.press(one)
        frames: list[float] = page.evaluate(DRAG, FRAMES)
        rates = [1000 / max(0.1, milliseconds) for milliseconds in frames]
        yield row(f"window drag, {name}", rates, "frames/s", at_least=30)


def _pages() -> tuple[dict[str, str], Any]:
    """Addresses of a page with a deep and one with a shallow finding of the same display picture."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xrayportal.offline_settings")
    import django
    from django.conf import settings
    from django.test import override_settings

    django.setup()
    from tests.study.viewer.site import Site, viewer

    codes = _film()
    shown = display(stretch(codes, LOW, HIGH))
    stored = depth.linear(codes, LOW, HIGH)
    assert stored is not None
    scale: dict[str, Any] = {"highest": int(stored.codes.max()), "level": stored.level, "width": stored.width}
    scale |= {"first": stored.first, "step": stored.step, "is_masked": False, "curve": None}
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    site = Site()
    pages = {}
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": static}):
        for name, fields in (("shallow", {}), ("deep", {"depth_file": "depth", "depth": scale})):
            finding = site.finding(width=SIDE, height=SIDE, **fields)
            files = f"/files/east/{finding.id}"
            site.answers[f"{files}/display"] = ("image/jpeg", shown)
            site.answers[f"{files}/depth"] = ("image/png", stored_depth(stored.codes))
            pages[name] = site.page(viewer(finding))
    return pages, site.close


def _film() -> np.ndarray:
    """Twelve bits: soft tissue, two bones and a detector's noise."""
    rng = np.random.default_rng(0)
    canvas = np.full((SIDE, SIDE), 200, np.float32)
    for centre, half, level in ((1000, 700, 900.0), (850, 130, 1100.0), (1150, 100, 900.0)):
        canvas[:, centre - half : centre + half] += level
    soft = cv2.GaussianBlur(canvas, (0, 0), 20) + rng.normal(0, 12, canvas.shape)
    return np.clip(soft, 0, 4095).astype(np.uint16)
