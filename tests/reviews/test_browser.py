"""The review panel in a real browser: keys, blind first, regions drawn on the radiograph, two windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Locator, Page, expect

from tests.factories import jpeg, make_analysis, make_clinic, make_study
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Finding
from xrayportal.clinics.models import Clinic, Role
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of its own; an error in the page fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    # The browser itself logs an answer that refuses, such as a stale form.
    assert [problem for problem in problems if "409 (Conflict)" not in problem] == []


@pytest.fixture
def clinic() -> Clinic:
    return make_clinic(blind_first=True)


@pytest.fixture
def study(clinic: Clinic) -> Study:
    study = make_study(clinic, patient_reference="P-17")
    make_analysis(study)
    for finding in Finding.objects.filter(analysis=study.current):
        finding.display_file = default_storage.save(
            f"clinics/{clinic.pk}/findings/browser/{finding.pk}-display.jpg", ContentFile(jpeg((300, 400)))
        )
        finding.width, finding.height = 300, 400
        finding.save()
    return study


def sign_in(page: Page, live_server: Any, access: ClinicAccess) -> None:
    client = Client()
    client.force_login(access.user)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])


def open_study(page: Page, live_server: Any, study: Study) -> None:
    page.goto(live_server.url + reverse("study", args=[study.clinic.slug, study.pk]))


def unfold(panel: Locator) -> None:
    """Comment, body part and regions are folded away until they are wanted."""
    panel.locator(".review-more > summary").click()


def test_a_blind_reading_by_keys(page: Page, live_server: Any, clinic: Clinic, study: Study) -> None:
    sign_in(page, live_server, make_access(clinic))
    open_study(page, live_server, study)
    panel = page.locator("#review-panel")
    result = page.locator("#study-result")
    expect(result.get_by_text("0.87")).to_have_count(0)

    page.keyboard.press("1")
    expect(panel.get_by_role("radio", name="No fracture seen")).to_be_checked()
    unfold(panel)
    panel.get_by_label("Comment").fill("2 views would be better.")
    expect(panel.get_by_role("radio", name="No fracture seen")).to_be_checked()
    panel.get_by_role("button", name="Save and show the prediction").click()

    expect(panel.get_by_text("Saved.")).to_be_visible()
    expect(result.get_by_text("0.87").first).to_be_visible()
    page.keyboard.press("2")
    panel.get_by_role("button", name="Sign").click()
    expect(panel.get_by_text("Your verdict before you saw the prediction")).to_be_visible()
    expect(panel.get_by_text("Signed", exact=True)).to_be_visible()
    assert Consensus.objects.get().changes == 1
    assert list(Review.objects.values_list("verdict", "was_blind", "comment")) == [
        ("normal", True, "2 views would be better."),
        ("abnormal", False, "2 views would be better."),
    ]


def test_a_region_is_drawn_and_stored(page: Page, live_server: Any, clinic: Clinic, study: Study) -> None:
    sign_in(page, live_server, make_access(clinic))
    open_study(page, live_server, study)
    panel = page.locator("#review-panel")
    expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")
    unfold(panel)
    panel.get_by_role("button", name="Draw a region").click()
    stage = page.locator("#study-result .viewer canvas").first
    box = stage.bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 40, steps=4)
    page.mouse.up()
    expect(panel.get_by_role("listitem")).to_have_count(1)

    panel.get_by_text("Enter coordinates").click()
    for label, value in (("x", "10"), ("y", "20"), ("Width", "30"), ("Height", "40")):
        panel.get_by_label(label, exact=True).fill(value)
    panel.get_by_role("button", name="Add").click()
    expect(panel.get_by_role("listitem")).to_have_count(2)
    panel.get_by_role("button", name="Remove").first.click()
    page.keyboard.press("2")
    panel.get_by_role("button", name="Sign").click()

    expect(panel.get_by_text("1 region")).to_be_visible()
    [drawn] = Review.objects.get().boxes
    assert drawn == {"image": str(study.images.get().pk), "box": [10, 20, 30, 40]}


def test_two_windows_lose_nothing(page: Page, live_server: Any, clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    sign_in(page, live_server, access)
    open_study(page, live_server, study)
    say(access, study, "uncertain", sign=False, comment="From the other window.")
    panel = page.locator("#review-panel")

    page.keyboard.press("2")
    unfold(panel)
    panel.get_by_label("Comment").fill("From this window.")
    panel.get_by_role("button", name="Sign").click()

    expect(panel.get_by_role("alert")).to_contain_text("in the meantime")
    expect(panel.get_by_text("From the other window.")).to_be_visible()
    expect(panel.get_by_label("Comment")).to_have_value("From this window.")
    panel.get_by_role("button", name="Sign").click()
    expect(panel.get_by_text("Signed", exact=True)).to_be_visible()
    assert Review.objects.get(is_current=True).comment == "From this window."


def test_a_session_that_ended_takes_nothing_that_was_typed(
    page: Page, live_server: Any, clinic: Clinic, study: Study
) -> None:
    sign_in(page, live_server, make_access(clinic))
    open_study(page, live_server, study)
    panel = page.locator("#review-panel")
    page.keyboard.press("2")
    unfold(panel)
    panel.get_by_label("Comment").fill("Typed at length.")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)

    panel.get_by_role("button", name="Save and show the prediction").click()

    expect(page.locator("#banner-signed-out")).to_be_in_viewport()
    expect(panel.get_by_text("Not saved: your session has ended.")).to_be_in_viewport()
    expect(panel.get_by_label("Comment")).to_have_value("Typed at length.")
    assert not Review.objects.exists()


def test_the_admin_goes_from_the_matrix_to_the_case(
    page: Page, live_server: Any, clinic: Clinic, study: Study
) -> None:
    say(make_access(clinic), study, "normal")
    sign_in(page, live_server, make_access(clinic, Role.ADMIN))
    page.goto(live_server.url + reverse("scorecard", args=[clinic.slug]))

    row = page.locator(".matrix").first.get_by_role("row").filter(has_text="Fracture suspected")
    row.last.get_by_role("link", name="1").click()

    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.get_by_role("link", name="P-17").click()
    expect(page.locator("#review-panel")).to_contain_text("Signed by 1 reader")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["scorecard", "history", "disagreements", "people", "clinic-settings"])
def test_no_page_is_wider_than_its_window(
    page: Page, live_server: Any, clinic: Clinic, study: Study, name: str, width: int
) -> None:
    first, second = make_access(clinic), make_access(clinic)
    say(first, study, "normal")
    say(second, study, "abnormal")
    page.set_viewport_size({"width": width, "height": 800})
    sign_in(page, live_server, make_access(clinic, Role.ADMIN))

    page.goto(live_server.url + reverse(name, args=[clinic.slug]))

    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
