"""Shortcuts of a single character can be turned off (WCAG 2.1.4): on every page, for good, and on again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import tab
from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_user
from xrayportal.clinics.models import Role

WORKLIST = "/c/north/"


@pytest.fixture
def page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """A reader's worklist with one study."""
    make_bundle()
    clinic = make_clinic(slug="north")
    make_analysis(make_study(clinic, patient_reference="NH-1"))
    with tab(browser, live_server, make_user(clinic, Role.READER)) as context:
        page = context.new_page()
        page.goto(WORKLIST)  # until it is loaded: from here on keys are heard
        yield page


def open_study(page: Page) -> None:
    page.get_by_role("link", name="NH-1").click()
    expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")
    page.wait_for_load_state()


def test_off_on_every_page_until_turned_on_again(page: Page) -> None:
    sheet = page.get_by_role("dialog", name="Keys")
    page.keyboard.press("?")
    sheet.get_by_label("Turn single-key shortcuts off").check()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()

    for key in ("j", "/", "?"):
        page.keyboard.press(key)
    expect(sheet).to_be_hidden()
    assert page.evaluate("document.activeElement.matches('#studies *, #q')") is False

    open_study(page)  # another page, the same browser
    heatmap = page.get_by_role("button", name="Heatmap", exact=True)
    for key in ("h", "1", "?"):
        page.keyboard.press(key)
    stage = page.locator(".viewer-stage")
    stage.focus()
    page.keyboard.press("h")
    page.keyboard.press("Shift+ArrowRight")  # no character: the stage heeds it as before
    expect(page.locator(".viewer-status")).to_have_text("Window width 259, level 128")
    expect(heatmap).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#review-panel input[type=radio]:checked")).to_have_count(0)
    expect(sheet).to_be_hidden()
    expect(page.locator("[aria-keyshortcuts]")).to_have_count(0)

    page.locator(".sidebar-person > summary").click()
    page.get_by_role("button", name="Keys").click()
    sheet.get_by_label("Turn single-key shortcuts off").uncheck()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(heatmap).to_have_attribute("aria-keyshortcuts", "H")
    page.keyboard.press("h")
    expect(heatmap).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("1")
    expect(page.locator("#review-panel input[type=radio]:checked")).to_have_count(1)

    page.goto(WORKLIST)
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="NH-1")).to_be_focused()
