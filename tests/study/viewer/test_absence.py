"""The viewer without JavaScript, without a heatmap, without a visible prediction, without a file."""

from __future__ import annotations

import re

from django.template.loader import render_to_string
from playwright.sync_api import expect

from tests.study.viewer.hands import Open, expect_figures, tool
from tests.study.viewer.site import ROOT, Site, viewer
from tests.waiting import wait_until


def test_without_javascript_the_heatmap_lies_over_the_picture(site: Site, open_page: Open) -> None:
    page = open_page(site.page(viewer(site.finding())), ready=False, java_script_enabled=False)
    picture, overlay = page.locator(".viewer-picture"), page.locator(".viewer-overlay")
    expect(picture).to_have_attribute("alt", "Radiograph, 640 by 480 pixels")
    expect(overlay).to_have_attribute("alt", re.compile("strongest 72 % from the left and 29 % from the top"))
    assert picture.bounding_box() == overlay.bounding_box()
    expect(page.get_by_role("toolbar")).to_be_hidden()


def test_an_unsupported_picture_has_no_heatmap_tools(site: Site, open_page: Open) -> None:
    finding = site.finding(
        verdict="unsupported", probability=None, trust=None, map_file="", peak_x=None, peak_y=None
    )
    page = open_page(site.page(viewer(finding)))
    expect(page.get_by_role("group", name="Heatmap")).to_have_count(0)
    page.keyboard.press("h")
    expect(tool(page, "Zoom in")).to_be_enabled()


def test_a_blind_reader_gets_nothing_of_the_prediction(site: Site) -> None:
    html = viewer(site.finding(), blind=True)
    for word in ("overlay", "/map", "peak", "trust", "0.82", "Heatmap<", "abnormal"):
        assert word not in html, word
    assert 'id="viewer-blind"' in html  # a swap must not keep the blind one in place of the other


def test_a_missing_map_is_said_and_the_picture_stays(site: Site, open_page: Open, errors: list[str]) -> None:
    finding = site.finding()
    del site.answers[f"/files/east/{finding.id}/map"]
    page = open_page(site.page(viewer(finding)))
    expect(page.get_by_role("alert")).to_have_text(
        "The heatmap could not be loaded. Reload the page to try again."
    )
    expect(tool(page, "Heatmap")).to_be_disabled()
    page.keyboard.press("a")
    expect_figures(page, "100 %")
    wait_until(page, lambda: len(errors) == 2)  # the 404 itself, and its cause
    errors.clear()


def test_a_missing_picture_is_said(site: Site, open_page: Open, errors: list[str]) -> None:
    finding = site.finding()
    del site.answers[f"/files/east/{finding.id}/display"]
    page = open_page(site.page(viewer(finding)), ready=False)
    expect(page.get_by_role("alert")).to_contain_text("The radiograph could not be loaded")
    wait_until(page, lambda: len(errors) == 3)  # two 404s, of the plain picture and the canvas, and the cause
    errors.clear()


def test_every_module_is_loaded_at_once(site: Site) -> None:
    head = render_to_string("study/viewer/_head.html")
    named = set(re.findall(r'href="/static/study/viewer/(\w+)\.js"', head))
    assert "lightbox" in named
    assert named == {file.stem for file in (ROOT / "static/study/viewer").glob("*.js")} - {"viewer"}
