"""The viewer and its page: swaps around it, a second viewer, remembered settings, full screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.study.viewer.hands import Open, expect_figures, tool
from tests.study.viewer.site import Site, viewer

HTMX = """<script defer src="/static/vendor/htmx/htmx.min.js"></script>
<script defer src="/static/vendor/idiomorph/idiomorph-ext.min.js"></script>
<script type="module" src="/static/shared/portal.js"></script>
<meta name="htmx-config" content='{"includeIndicatorStyles": false, "allowEval": false}'>"""


@pytest.mark.parametrize(
    ("swap", "keep"), [("outerHTML", ""), ("morph:outerHTML", ""), ("morph:outerHTML", "data-keep")]
)
def test_a_swap_around_the_viewer_keeps_it_as_it_was(
    site: Site, open_page: Open, swap: str, keep: str
) -> None:
    first, later = site.finding(), site.finding()
    begin = f"<div id='result' hx-ext='morph'><div id='keep-first' {keep}>{viewer(first)}</div>"
    fragment = f"{begin}<p>Verdict</p><div id='keep-later' {keep}>{viewer(later)}</div></div>"
    site.answers["/fragment"] = ("text/html; charset=utf-8", fragment.encode())
    page = open_page(site.page(begin, "</div>", head=HTMX))
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.evaluate(f"htmx.ajax('GET', '/fragment', {{target: '#result', swap: '{swap}'}})")
    expect(page.get_by_text("Verdict")).to_be_visible()
    both = page.locator("figure.viewer")
    expect(both).to_have_count(2)
    expect(both.nth(1)).to_have_attribute("data-ready", "")
    expect_figures(both.nth(0), "100 %")
    expect(both.nth(0).locator("[data-show=pose]")).to_have_text("Rotated 90°")
    expect(both.nth(1).locator("[data-show=pose]")).to_be_hidden()
    tool(both.nth(0), "Rotate by 90°").click()
    expect(both.nth(0).locator("[data-show=pose]")).to_have_text("Rotated 180°")


def test_linked_viewers_share_zoom_until_one_is_let_go(site: Site, open_page: Open) -> None:
    pair = [viewer(site.finding(), link="pair", name=name) for name in ("Now", "Earlier")]
    page = open_page(site.page("<div class='viewer-pair'>", *pair, "</div>"))
    now, earlier = page.locator("figure.viewer").all()
    tool(now, "1:1 (actual pixels)").click()
    expect_figures(earlier, "100 %")
    tool(earlier, "Move views together").click()
    tool(now, "Zoom in").click()
    expect_figures(now, "125 %")
    expect_figures(earlier, "100 %")


def test_choices_are_remembered_and_the_heatmap_starts_shown(site: Site, open_page: Open) -> None:
    page = open_page(site.page(viewer(site.finding())))
    page.get_by_label("Colour map").select_option("jet")
    page.get_by_label("Opacity").fill("35")
    page.keyboard.press("h")
    page.reload()
    expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")
    expect(page.get_by_label("Colour map")).to_have_value("jet")
    expect(page.get_by_label("Opacity")).to_have_attribute("aria-valuetext", "35 %")
    expect(tool(page, "Heatmap")).to_have_attribute("aria-pressed", "true")


def test_full_screen_and_back(page: Page) -> None:
    page.keyboard.press("f")
    expect(tool(page, "Full screen")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("f")
    expect(tool(page, "Full screen")).to_have_attribute("aria-pressed", "false")
