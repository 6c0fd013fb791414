"""A reading session in a browser: by keys alone, by mouse, by touch, and what it asks before it leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import tab
from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_user
from tests.network import intercept, set_offline
from tests.waiting import wait_until
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study

pytestmark = pytest.mark.slow

LIST = "/c/north/?list=all&sort=oldest"
STUDIES = 4
#: What the browser and htmx log of a request that got no answer.
OFFLINE = re.compile("ERR_INTERNET_DISCONNECTED|ERR_FAILED|htmx:(sendError|afterRequest|afterOnLoad)")


@pytest.fixture
def clinic(live_server: LiveServer) -> Clinic:
    make_bundle()
    clinic = make_clinic(slug="north")
    for number in range(STUDIES):
        make_analysis(make_study(clinic, patient_reference=f"NH-{number}"))
    return clinic


@pytest.fixture
def reader(clinic: Clinic) -> User:
    return make_user(clinic, Role.READER, email="rosa@north.example")


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, reader: User) -> Iterator[Page]:
    with tab(browser, live_server, reader, viewport={"width": 1280, "height": 800}) as context:
        yield from watched(context)


@pytest.fixture
def phone(browser: Browser, live_server: LiveServer, reader: User) -> Iterator[Page]:
    view = {"width": 390, "height": 844}
    with tab(browser, live_server, reader, viewport=view, has_touch=True, is_mobile=True) as context:
        yield from watched(context)


def watched(context: BrowserContext) -> Iterator[Page]:
    """A page whose errors fail the test."""
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(LIST)
    yield page
    assert [problem for problem in problems if not OFFLINE.search(problem)] == []


def expect_study(page: Page, number: int) -> None:
    """This study is on the page with its own picture, as the page of its address."""
    study = Study.objects.get(patient_reference=f"NH-{number}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"NH-{number}")
    expect(page.locator(".list-place-words")).to_contain_text(f"{number + 1} of {STUDIES}")
    expect(page.locator("#review-panel [data-sign]")).to_be_in_viewport()
    finding = study.analyses.get().findings.get()
    figure = page.locator("figure.viewer")
    expect(figure).to_have_attribute("data-display-url", re.compile(str(finding.pk)))
    expect(figure).to_have_attribute("data-ready", "")
    expect(page).to_have_url(re.compile(rf"/studies/{study.pk}/\?reading="))


def signed() -> dict[str, str]:
    reviews = Review.objects.filter(is_current=True, signed_at__isnull=False).select_related("study")
    return {review.study.patient_reference: review.verdict for review in reviews}


def test_by_keys_alone(page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect_study(page, 0)
    page.evaluate("window.sameDocument = true; window.stage = document.querySelector('.viewer-stage')")
    page.keyboard.press("1")
    page.keyboard.press("Enter")  # stores nothing by itself
    page.keyboard.press("s")
    expect_study(page, 1)
    assert signed() == {"NH-0": "normal"}
    expect(page.locator("#page")).to_have_count(1)
    assert page.evaluate("stage === document.querySelector('.viewer-stage')"), "the viewer was thrown away"
    page.keyboard.press("j")
    expect_study(page, 2)
    page.keyboard.press("k")
    expect_study(page, 1)
    page.keyboard.press("s")
    expect(page.get_by_text("Mark a verdict first.")).to_be_visible()
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    expect_study(page, 2)
    page.keyboard.press("3")
    page.keyboard.press("Shift+S")
    expect(page.locator("#review-panel")).to_contain_text("Draft")
    page.keyboard.press("j")
    expect_study(page, 3)
    page.keyboard.press("j")
    expect(page.get_by_role("heading", level=1)).to_have_text("End of the list")
    expect(page.locator("#reading-summary .counts dd")).to_have_text(["2", "1", "1"])
    page.get_by_role("link", name="Go on with those skipped").press("Enter")
    expect_study(page, 3)
    assert page.evaluate("window.sameDocument"), "a page was loaded between two studies"
    # Of all the messages only the newest is left, and nothing of what carried them.
    expect(page.locator(".toasts > *")).to_have_count(1)
    expect(page.locator(".toasts > #signed-note")).to_have_count(1)
    assert signed() == {"NH-0": "normal", "NH-1": "abnormal"}


def test_by_mouse_with_undo(page: Page) -> None:
    page.get_by_role("button", name="Start reading").click()
    expect_study(page, 0)
    page.locator("label.verdict-choice").nth(1).click()
    page.get_by_role("button", name="Sign", exact=True).click()
    expect_study(page, 1)
    note = page.locator(".toast", has_text="NH-0")
    expect(note).to_contain_text("Fracture suspected")
    note.get_by_role("button", name="Undo").click()
    expect_study(page, 0)
    expect(page.locator("#review-panel")).to_contain_text("Draft")
    expect(page.get_by_role("radio", name="Fracture suspected")).to_be_checked()
    assert signed() == {}
    page.get_by_role("link", name="Next study").click()
    expect_study(page, 1)
    page.get_by_role("navigation", name="You are here").get_by_role("link", name="Worklist").click()
    expect(page).to_have_url(re.compile(r"sort=oldest$"))


def overlap(page: Page, one: str, other: str) -> bool:
    """Whether two things that are shown lie over each other."""
    (left, right) = (page.locator(name).bounding_box() for name in (one, other))
    assert left, one
    assert right, other
    return all(
        left[at] < right[at] + right[size] and right[at] < left[at] + left[size]
        for at, size in (("x", "width"), ("y", "height"))
    )


def test_by_touch(phone: Page) -> None:
    tools = [tool.bounding_box() or {} for tool in phone.locator(".list-tools > *").all()]
    assert len({round(box["y"] + box["height"] / 2) for box in tools}) == 1, "the list's tools are one row"
    phone.get_by_role("link", name="NH-0").tap()
    expect_study(phone, 0)
    marks = phone.get_by_role("radio", name="No fracture seen")
    foot = phone.locator(".review-foot")
    box = foot.bounding_box()
    assert box
    assert box["height"] < 70, "the foot is one line"
    phone.locator("[data-verdict-sheet]").tap()
    expect(marks).to_be_in_viewport()
    phone.locator("label.verdict-choice").first.tap()
    expect(phone.locator("[data-marked]")).to_have_text("No fracture seen")
    phone.get_by_role("button", name="Sign", exact=True).tap()
    expect_study(phone, 1)
    expect(phone.locator("#review-panel")).not_to_have_attribute("data-open", "")
    assert signed() == {"NH-0": "normal"}
    assert phone.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    expect(phone.locator("#signed-note")).to_be_visible()
    assert not overlap(phone, "#signed-note", ".review-foot"), "the note covers the button that signs"
    phone.locator("[data-verdict-sheet]").tap()
    expect(marks).to_be_in_viewport()
    assert not overlap(phone, "#signed-note", "label.verdict-choice >> nth=0"), "the note covers the verdicts"
    assert not overlap(phone, "[data-verdict-sheet]", "[data-save]"), "the foot's buttons lie over each other"


def test_leaving_an_unsaved_review_asks(page: Page) -> None:
    page.get_by_role("link", name="NH-0").click()
    expect_study(page, 0)
    page.keyboard.press("2")
    page.keyboard.press("j")
    sheet = page.get_by_role("dialog", name="Your review is not saved")
    sheet.get_by_role("button", name="Stay here").click()
    expect_study(page, 0)
    expect(page.get_by_role("radio", name="Fracture suspected")).to_be_checked()
    page.keyboard.press("j")
    sheet.get_by_role("button", name="Save as draft").click()
    expect_study(page, 1)
    assert Review.objects.get().verdict == "abnormal"
    page.keyboard.press("1")
    page.keyboard.press("j")
    sheet.get_by_role("button", name="Discard it").click()
    expect_study(page, 2)
    assert Review.objects.count() == 1
    page.keyboard.press("1")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.close(run_before_unload=True)
    wait_until(page.context.new_page(), lambda: asked == ["beforeunload"])


def test_what_comes_next_is_fetched_again_after_a_failure(page: Page) -> None:
    asked: list[str] = []

    def fail_once(route: Route) -> None:
        asked.append(route.request.url)
        route.abort() if asked.count(route.request.url) == 1 else route.continue_()

    following = Study.objects.get(patient_reference="NH-1").analyses.get().findings.get()
    intercept(page, re.compile(f"{following.pk}/display"), fail_once)
    page.get_by_role("link", name="NH-0").click()
    expect_study(page, 0)
    wait_until(page, lambda: len(asked) == 2)
    page.keyboard.press("j")
    expect_study(page, 1)


def test_without_a_network_it_says_so_at_the_button(page: Page) -> None:
    page.get_by_role("link", name="NH-0").click()
    expect_study(page, 0)
    page.keyboard.press("1")
    set_offline(page, True)
    page.keyboard.press("s")
    expect(page.get_by_text("Not saved: the portal is not answering.")).to_be_in_viewport()
    expect(page.locator("#banner-offline")).to_be_in_viewport()
    set_offline(page, False)
    page.keyboard.press("s")
    expect_study(page, 1)
    assert signed() == {"NH-0": "normal"}
