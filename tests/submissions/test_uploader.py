"""The uploader over bad networks, and every way to choose files: real browser and server, no worker."""

from __future__ import annotations

import base64
from datetime import UTC, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Request, Route, expect

from tests.factories import png
from tests.network import hold, intercept
from tests.submissions.uploads import STUDY, SUBMISSION, UPLOADS, Enter, choose, pictures, sign_in
from tests.waiting import wait_until
from xrayportal.clinics.models import Clinic, User
from xrayportal.studies.models import Study, Submission, Upload, Usage


def test_lost_requests_and_lost_answers_are_sent_again_once(enter: Enter) -> None:
    page = enter("upload/")
    seen: list[str] = []

    def bad_network(route: Route, request: Request) -> None:
        seen.append(request.url)
        if len(seen) == 1:
            route.abort()  # never arrived
        elif len(seen) == 2:
            route.fetch()
            route.abort()  # arrived, but the answer was lost
        else:
            route.continue_()

    intercept(page, UPLOADS, bad_network)
    choose(page, pictures(1))
    expect(page).to_have_url(STUDY)
    assert len(seen) == 3
    assert [upload.outcome for upload in Upload.objects.all()] == ["accepted"]
    assert Submission.objects.get().state == "finished"


def test_files_chosen_before_the_script_came_are_sent(enter: Enter) -> None:
    page = enter("upload/")
    held: list[Route] = []
    intercept(page, "**/uploader*.js", lambda route: held.append(route))
    page.reload(wait_until="commit")
    choose(page, pictures(1))
    wait_until(page, lambda: held)
    held[0].continue_()
    expect(page).to_have_url(STUDY)
    assert Upload.objects.count() == 1


def test_four_at_a_time_pause_and_go_on(enter: Enter) -> None:
    page = enter("upload/")
    held: list[Route] = []
    intercept(page, UPLOADS, lambda route: held.append(route))
    choose(page, pictures(6))
    expect(page.locator('.sending-file[data-state="sending"]')).to_have_count(4)
    wait_until(page, lambda: len(held) == 4)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator('.sending-file[data-state="waiting"]')).to_have_count(6)
    expect(page.locator("[data-summary]")).to_have_text("Paused. 0 of 6 files are sent.")
    page.unroute(UPLOADS)
    page.get_by_role("button", name="Resume").click()
    expect(page).to_have_url(SUBMISSION)
    assert Upload.objects.count() == 6


def test_cancel(enter: Enter) -> None:
    page = enter("upload/")
    intercept(page, UPLOADS, hold)
    choose(page, pictures(3))
    expect(page.locator('.sending-file[data-state="sending"]')).to_have_count(3)
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(SUBMISSION)
    assert Submission.objects.get().state == "cancelled"
    assert not Upload.objects.exists()


def test_ended_session_waits_for_the_person(enter: Enter) -> None:
    page = enter("upload/")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    choose(page, pictures(2))
    expect(page.get_by_text("Your session has ended. Sign in again in another tab")).to_be_visible()
    other = page.context.new_page()
    sign_in(other, page.url)  # which makes the first tab's token void
    page.get_by_role("button", name="Resume").click()
    expect(page).to_have_url(SUBMISSION)
    assert Upload.objects.count() == 2


def test_a_limit_pauses_and_says_why(enter: Enter, settings: Any) -> None:
    page = enter("upload/")
    person = User.objects.get(email="ines@north.example")
    clinic = Clinic.objects.get(slug="north")
    today = timezone.now().astimezone(UTC).date()
    for day in (today, today + timedelta(days=1)):  # which it may be before the file is sent
        Usage.objects.create(clinic=clinic, user=person, day=day, files=7)
    settings.QUOTA_PERSON_FILES_A_DAY = 7
    choose(page, pictures(2))
    expect(page.get_by_text("You have sent 7 files today")).to_be_visible()
    assert not Upload.objects.exists()
    settings.QUOTA_PERSON_FILES_A_DAY = 0
    page.get_by_role("button", name="Resume").click()
    expect(page).to_have_url(SUBMISSION)
    assert Upload.objects.count() == 2


def test_drop_anywhere_on_the_worklist(enter: Enter) -> None:
    page = enter("")
    intercept(page, UPLOADS, hold)
    dropped = page.evaluate_handle(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "wrist.png", { type: "image/png" }));
            transfer.items.add(new File(["x"], ".DS_Store"));
            return transfer;
        }""",
        base64.b64encode(png()).decode(),
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("h1", event, {"dataTransfer": dropped})
    sheet = page.get_by_role("dialog", name="Upload")
    expect(sheet).to_be_visible()
    expect(sheet.locator(".sending-name")).to_have_text(["wrist.png"])
    for _ in range(2):  # the second one a page cannot prevent
        page.keyboard.press("Escape")
        expect(sheet).to_be_visible()  # nobody hides a sending by accident


def test_without_scripts(enter: Enter) -> None:
    page = enter("upload/", java_script_enabled=False)
    choose(page, pictures(2))
    page.get_by_role("button", name="Upload").click()
    expect(page).to_have_url(SUBMISSION)
    expect(page.locator("#progress tbody tr")).to_have_count(2)


def test_what_was_said_of_all_files_comes_with_each(enter: Enter) -> None:
    page = enter("upload/")
    page.get_by_text("Patient reference and body part").click()
    page.get_by_label("Patient reference").fill("NH-7")
    page.get_by_label("Body part").select_option("wrist")
    choose(page, pictures(2))
    expect(page).to_have_url(SUBMISSION)
    stated = Study.objects.values_list("patient_reference", "stated_body_part")
    assert list(stated) == [("NH-7", "wrist")] * 2
