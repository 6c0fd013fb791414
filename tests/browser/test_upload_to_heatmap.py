"""Sign in, upload, verdict and heatmap without a reload: a real browser, worker and servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pydicom.data import get_testdata_file
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import become
from tests.factories import PASSWORD, make_clinic, make_user
from tests.live.conftest import Portal, portal, redis_server
from xrayportal.clinics.models import Role, User

__all__ = ["portal", "redis_server"]

#: A real extremity radiograph: the distal tibia, with a bone lesion.
TIBIA = "RG3_UNCR.dcm"
#: A chest radiograph, which no bundle of bones knows.
CHEST = "RG1_UNCR.dcm"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of its own; with the plugin's own fixture this pytest warns of the plugin."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def errors(page: Page) -> Iterator[list[str]]:
    """What went wrong inside the page; at the end nothing may have."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []


@pytest.fixture
def uploader(portal: Portal) -> User:
    clinic = make_clinic(slug="north", name="North Harbour")
    return make_user(clinic, Role.UPLOADER, email="ines@north.example", first_name="Ines", last_name="Albers")


@pytest.fixture
def signed_in(page: Page, live_server: LiveServer, uploader: User, errors: list[str]) -> Page:
    """An uploader on the worklist of their clinic."""
    become(page.context, live_server, uploader)
    page.goto(live_server.url)
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    return page


def picture(name: str, folder: Path, *, keep: int | None = None) -> dict[str, Any]:
    """A file to choose, whole or cut short."""
    content = Path(str(get_testdata_file(name))).read_bytes()[:keep]
    return {"name": folder.name if keep else name, "mimeType": "application/dicom", "buffer": content}


def open_upload(page: Page) -> None:
    """By the menu; the page before it may have fields for files as well."""
    page.get_by_role("link", name="Upload").first.click()
    expect(page).to_have_url(re.compile(r"/upload/$"))


def never_reloads(page: Page) -> None:
    """Mark the document: a reload would lose the mark."""
    page.evaluate("window.sameDocument = true")


def is_same_document(page: Page) -> bool:
    return bool(page.evaluate("window.sameDocument === true"))


def test_from_upload_to_heatmap(
    page: Page, live_server: LiveServer, uploader: User, portal: Portal, errors: list[str]
) -> None:
    page.goto(live_server.url)
    page.get_by_label("E-mail address").fill(uploader.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    open_upload(page)
    page.get_by_label("Choose files").set_input_files(
        [picture(TIBIA, Path()), picture(CHEST, Path()), picture(TIBIA, Path("cut_short.dcm"), keep=90_000)]
    )
    # One request a file, then the page of the submission; no worker lives yet.
    expect(page).to_have_url(re.compile(r"/c/north/submissions/[-0-9a-f]{36}/$"))
    expect(page.get_by_text("Could not read cut_short.dcm")).to_be_visible()
    expect(page.locator(".progress-words")).to_contain_text("0 of 2 studies done")
    page.get_by_role("link", name=TIBIA).click()
    card = page.get_by_role("region", name="Verdict")
    expect(card).to_contain_text("Waiting, ")
    never_reloads(page)
    portal.worker()
    expect(card.locator(".verdict")).to_be_visible(timeout=150_000)
    viewer = page.locator("figure.viewer")
    expect(viewer).to_be_visible()
    expect(viewer).to_have_attribute("data-overlay-url", re.compile(r"/overlay$"))
    expect(card).to_contain_text(re.compile("Lower leg|Ankle"))
    expect(page.locator("#study-history")).to_contain_text("Done")
    assert is_same_document(page)
    # It asks no more.
    expect(page.locator("#study-result")).not_to_have_attribute("data-poll", "")

    page.get_by_role("link", name="Submission", exact=True).click()
    expect(page.locator(".progress-words")).to_contain_text("2 of 2 studies done", timeout=150_000)
    expect(page.get_by_role("row", name=CHEST)).to_contain_text("utside what the model can analyse")


def test_same_file_again_leads_to_the_earlier_study(signed_in: Page, portal: Portal) -> None:
    page = signed_in
    portal.worker()
    for is_again in (False, True):
        open_upload(page)
        page.locator("[data-choose]").first.set_input_files([picture(TIBIA, Path())])
        expect(page).to_have_url(re.compile(r"/studies/"))
        expect(page.get_by_text("This image was here already")).to_have_count(int(is_again))
        page.get_by_role("link", name="Worklist").first.click()
        expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    expect(page.locator("#studies tbody tr")).to_have_count(1)


def test_ended_session_is_told_and_nothing_is_lost(signed_in: Page) -> None:
    page = signed_in
    open_upload(page)
    page.locator("[data-choose]").first.set_input_files([picture(TIBIA, Path())])
    expect(page).to_have_url(re.compile(r"/studies/"))
    expect(page.get_by_role("region", name="Verdict")).to_contain_text("Waiting, ")
    never_reloads(page)
    page.context.clear_cookies()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    assert is_same_document(page)
    link = page.get_by_role("alert").get_by_role("link", name="Sign in")
    assert "next=/c/north/studies/" in str(link.get_attribute("href"))
