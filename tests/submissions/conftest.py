"""An uploader at the page, for the tests of the uploader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import become
from tests.factories import make_bundle, make_clinic, make_user
from tests.submissions.uploads import Enter
from xrayportal.clinics.models import Role


@pytest.fixture
def enter(browser: Browser, live_server: LiveServer) -> Iterator[Enter]:
    """Opens a page of the clinic as an uploader who is signed in already."""
    make_bundle()
    uploader = make_user(make_clinic(slug="north"), Role.UPLOADER, email="ines@north.example")
    contexts = []

    def start(place: str, **options: Any) -> Page:
        contexts.append(browser.new_context(**options))
        become(contexts[-1], live_server, uploader)
        page = contexts[-1].new_page()
        page.goto(f"{live_server.url}/c/north/{place}")  # until it is loaded: the scripts listen from here on
        return page

    yield start
    for context in contexts:
        context.set_offline(True)  # what a test held back for good never reaches the portal
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
        context.close()
