"""The worklist in a browser: keys, selection, undo, and a list that renews itself in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import APIResponse, Browser, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import become
from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_user
from tests.network import intercept
from tests.waiting import wait_until
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.studies.models import Study
from xrayportal.worklist.models import StudyViewed

STUDIES = 30
POLL = re.compile(r"[?&]seen=")
#: Where an element is: two frames later, for the browser keeps what is read in its place only as it draws.
TOP = """async (element) => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return element.getBoundingClientRect().top;
}"""


@pytest.fixture
def clinic(live_server: LiveServer) -> Clinic:
    """A clinic with thirty studies, of which NH-00 is the newest."""
    make_bundle()
    clinic = make_clinic(slug="north", name="North Harbour")
    for number in range(STUDIES):
        add(clinic, f"NH-{number:02}", minutes=2 * number)
    return clinic


@pytest.fixture
def reader(clinic: Clinic) -> User:
    return make_user(clinic, Role.READER, email="rosa@north.example", first_name="Rosa")


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, reader: User) -> Iterator[Page]:
    """The reader's worklist; an error in the page fails the test."""
    client = Client()
    client.force_login(reader)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{live_server.url}/c/north/?list=all")
    expect(page.locator("#studies tbody .row")).to_have_count(STUDIES)
    yield page
    context.close()
    assert errors == []


def add(clinic: Clinic, reference: str, minutes: int = 0) -> Study:
    study = make_study(clinic, patient_reference=reference)
    make_analysis(study)
    Study.objects.filter(pk=study.pk).update(created_at=timezone.now() - timedelta(minutes=minutes))
    # As the worker does: its event is in the result's own transaction.
    record(clinic=clinic, action=Action.ANALYSIS_SUCCEEDED, study=study)
    return study


def focused(page: Page) -> str:
    """The reference of the row that has the focus."""
    text = page.evaluate(
        "document.activeElement.closest('.row')?.querySelector('.row-link').textContent ?? ''"
    )
    return str(text).removeprefix("Unread: ")


def poll(page: Page) -> None:
    """Poll now, instead of after five seconds."""
    with page.expect_response(POLL):
        page.evaluate("htmx.trigger('#studies', 'seen-again')")


def test_by_keys_alone(page: Page, reader: User) -> None:
    for key, reference in (("j", "NH-00"), ("j", "NH-01"), ("j", "NH-02"), ("k", "NH-01")):
        page.keyboard.press(key)
        assert focused(page) == reference
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    bar = page.get_by_role("form", name="Selected studies")
    expect(bar).to_contain_text("2 studies")
    bar.get_by_role("button", name="Mark as read").press("Enter")
    expect(page.get_by_text("2 studies marked as read.")).to_be_visible()
    expect(bar).to_be_hidden()
    expect(page.get_by_role("row", name="NH-01")).not_to_contain_text("Unread")
    assert StudyViewed.objects.filter(user=reader).count() == 2
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("2 studies marked as unread.")).to_be_visible()
    assert not StudyViewed.objects.exists()

    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("Next and previous study")
    page.keyboard.press("j")  # means nothing there
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()

    page.keyboard.press("/")
    page.keyboard.type("NH-07j")
    expect(page.locator("#studies")).to_contain_text("No study matches these filters.")
    page.keyboard.press("Backspace")
    expect(page.locator("#studies tbody .row")).to_have_count(1)
    # Only what is filtered stands in the address.
    expect(page).to_have_url(re.compile(r"/c/north/\?q=NH-07$"))
    page.keyboard.press("Escape")
    expect(page.get_by_label("Search")).to_have_value("NH-07")
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="NH-07")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_role("row", name="NH-07")).not_to_contain_text("Unread")


def test_renews_itself_and_keeps_ones_place(page: Page, clinic: Clinic) -> None:
    page.evaluate("window.sameRow = document.querySelector('#studies tbody .row:nth-child(12)')")
    for _ in range(12):
        page.keyboard.press("j")
    page.keyboard.press("x")
    before = page.locator("#studies tbody .row:nth-child(12)").evaluate(TOP)
    add(clinic, "NH-new")
    poll(page)
    expect(page.get_by_role("row", name="NH-new")).to_be_attached()
    wait_until(page, lambda: focused(page) == "NH-11")
    # The same element at the same place on the screen, still chosen: nothing flickered.
    assert page.evaluate("window.sameRow === document.activeElement.closest('.row')")
    after = page.locator("#studies tbody .row:nth-child(13)").evaluate(TOP)
    assert abs(before - after) < 2
    expect(page.get_by_role("checkbox", name="Select NH-11")).to_be_checked()
    expect(page.get_by_role("form", name="Selected studies")).to_contain_text("1 study")
    page.keyboard.press("j")
    assert focused(page) == "NH-12"


def test_an_answer_for_earlier_filters_comes_too_late(page: Page, clinic: Clinic) -> None:
    held: list[tuple[Route, APIResponse]] = []
    intercept(page, POLL, lambda route: held.append((route, route.fetch())))
    add(clinic, "NH-new")
    page.evaluate("htmx.trigger('#studies', 'seen-again')")
    wait_until(page, lambda: held)
    page.get_by_label("Verdict").select_option("normal")
    expect(page.locator("#studies")).to_contain_text("No study matches these filters.")
    for route, answer in held:
        route.fulfill(response=answer)
    page.unroute(POLL)
    poll(page)
    expect(page.locator("#studies tbody .row")).to_have_count(0)


def test_choose_all_and_save_a_view(page: Page) -> None:
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_role("form", name="Selected studies")).to_contain_text(f"{STUDIES} studies")
    page.get_by_role("button", name="Clear the selection").click()
    expect(page.get_by_role("form", name="Selected studies")).to_be_hidden()
    page.get_by_label("Verdict").select_option("abnormal")
    expect(page).to_have_url(re.compile(r"\?verdict=abnormal$"))
    page.locator("#views summary").click()
    page.get_by_label("Save these filters as").fill("Suspicious")
    page.get_by_role("button", name="Save").click()
    tab = page.get_by_role("navigation", name="Lists").get_by_role("link", name="Suspicious")
    expect(tab).to_have_attribute("aria-current", "true")
    expect(tab).to_have_attribute("href", "?verdict=abnormal")

    # The address without a query means this list, and then says so; the reset leads to the reader's start.
    navigation = page.get_by_role("navigation", name="Portal")
    navigation.get_by_role("link", name="Submissions").click()
    navigation.get_by_role("link", name="Worklist").click()
    expect(page).to_have_url(re.compile(r"/c/north/\?verdict=abnormal$"))
    expect(page.get_by_label("Verdict")).to_have_value("abnormal")
    page.get_by_role("link", name="Reset").click()
    expect(page).to_have_url(re.compile(r"\?list=review&sort=urgency$"))
    expect(page.get_by_role("link", name="Reset")).to_have_count(0)
    # A list that nothing is filtered out of has a name, too.
    page.get_by_role("navigation", name="Lists").get_by_role("link", name="All").click()
    page.get_by_label("Verdict").select_option("normal")
    expect(page).to_have_url(re.compile(r"\?sort=urgency&verdict=normal$"))
    page.get_by_label("Verdict").select_option(label="Any")
    expect(page.locator("#studies tbody .row")).to_have_count(STUDIES)


def test_says_when_the_session_has_ended_and_goes_on_after_the_next(
    page: Page, live_server: LiveServer, clinic: Clinic, reader: User
) -> None:
    page.wait_for_load_state("networkidle")  # a late thumbnail, asked without cookies, brings a token
    page.context.clear_cookies()
    page.evaluate("htmx.trigger('#studies', 'seen-again')")
    ended = page.get_by_text("Your session has ended. What you see here is no longer updated.")
    expect(ended).to_be_visible()
    expect(page.locator("#studies tbody .row")).to_have_count(STUDIES)
    asked = """() => {
        let count = 0;
        document.addEventListener("htmx:beforeSend", () => (count += 1));
        htmx.trigger("#studies", "seen-again");
        return count;
    }"""
    assert page.evaluate(asked) == 0
    see_again = "document.dispatchEvent(new Event('visibilitychange'))"

    with page.expect_response("**/password/"):  # as somebody else it stays as it was
        become(page.context, live_server, make_user(clinic, Role.READER))
        page.evaluate(see_again)
    expect(ended).to_be_visible()
    become(page.context, live_server, reader)  # in another tab
    with page.expect_response(POLL):
        page.evaluate(see_again)
    expect(ended).to_be_hidden()
    page.get_by_label("Select NH-00").check()
    page.get_by_role("button", name="Mark as read").click()
    expect(page.get_by_text("1 study marked as read.")).to_be_visible()


def test_says_what_had_no_answer_and_when_nothing_more_will_come(page: Page, clinic: Clinic) -> None:
    intercept(page, "**/bulk-action/", lambda route: route.abort())
    page.get_by_label("Select NH-00").check()
    page.get_by_role("button", name="Mark as read").click()
    expect(page.get_by_text("No answer from the server; your change may not be saved.")).to_be_visible()
    clinic.memberships.all().delete()
    page.evaluate("htmx.trigger('#studies', 'seen-again')")
    expect(page.get_by_text("This page is no longer updated")).to_be_visible()
    expect(page.locator("#studies tbody .row")).to_have_count(STUDIES)
