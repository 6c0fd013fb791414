"""The viewer and its page: swaps around it, a second viewer, remembered settings, full screen."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.study.viewer.hands import Open, expect_figures, tool
from tests.study.viewer.site import Site, viewer

HTMX = """<script defer src="/static/vendor/htmx/htmx.min.js"></script>
<script defer src="/static/vendor/idiomorph/idiomorph-ext.min.js"></script>
<script type="module" src="/static/shared/portal.js"></script>
<meta name="htmx-config" content='{"includeIndicatorStyles": false, "allowEval": false}'>"""


def swap(site: Site, page: Page, *viewers: str) -> None:
    """Morph the page's part around the viewer into one with these viewers and the word Verdict."""
    html = f"<div id='result' hx-ext='morph'>{''.join(viewers)}<p>Verdict</p></div>"
    site.answers["/fragment"] = ("text/html; charset=utf-8", html.encode())
    page.evaluate(
        "htmx.ajax('GET', '/fragment', {source: '#result', target: '#result', swap: 'morph:outerHTML'})"
    )
    expect(page.get_by_text("Verdict")).to_be_visible()


def test_a_swap_around_the_viewer_keeps_it_as_it_was(site: Site, open_page: Open) -> None:
    first, later = site.finding(), site.finding()
    page = open_page(site.page("<div id='result' hx-ext='morph'>", viewer(first), "</div>", head=HTMX))
    page.keyboard.press("a")
    page.keyboard.press("r")
    swap(site, page, viewer(first), viewer(later, id="viewer-beside"))
    both = page.locator("figure.viewer")
    expect(both).to_have_count(2)
    expect(both.nth(1)).to_have_attribute("data-ready", "")
    expect_figures(both.nth(0), "100 %")
    expect(both.nth(0).locator("[data-show=pose]")).to_have_text("Rotated 90°")
    expect(both.nth(1).locator("[data-show=pose]")).to_be_hidden()
    tool(both.nth(0), "Rotate by 90°").click()
    expect(both.nth(0).locator("[data-show=pose]")).to_have_text("Rotated 180°")


def test_the_live_viewer_takes_over_another_picture(site: Site, open_page: Open) -> None:
    """The tool in hand and the whole screen stay; place, window and measurements begin anew."""
    wide, high = site.finding(), site.finding(width=480, height=640, map_file="", trust=None)
    page = open_page(site.page("<div id='result' hx-ext='morph'>", viewer(wide), "</div>", head=HTMX))
    page.evaluate("window.stage = document.querySelector('.viewer-stage')")
    page.keyboard.press("w")
    page.keyboard.press("r")
    page.keyboard.press("i")
    swap(site, page, viewer(high))
    expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")
    assert page.evaluate("document.querySelector('.viewer-stage') === window.stage")
    expect(page.locator("[data-show=pose]")).to_be_hidden()
    expect(tool(page, "Window and level")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("group", name="Heatmap")).to_be_hidden()
    expect(page.locator(".viewer-picture")).to_have_attribute("alt", "Radiograph, 480 by 640 pixels")
    width = "document.querySelector('figure.viewer').lightbox.view.picture.width"
    assert page.evaluate(width) == 480
    swap(site, page, viewer(wide))
    expect(page.get_by_role("group", name="Heatmap")).to_be_visible()
    assert page.evaluate(width) == 640


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
