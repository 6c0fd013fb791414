"""No file of an upload is lost: after failures, long pauses, vanished files, leaving half-way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, Request, Route, expect

from tests.factories import make_study, make_submission, png
from tests.network import hold, intercept
from tests.submissions.uploads import SUBMISSION, UPLOADS, Enter, choose, pictures
from tests.waiting import wait_until
from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.models import Clinic, User
from xrayportal.intake.services import cancel_submission, finish_submission
from xrayportal.studies.models import Study, Submission, Upload

LABELS = b"file,patient_reference\nview_7.png,NH-7\n"
NAMES = [f"view_{number}.png" for number in range(5)]
Earlier = Callable[[bytes], Study]


def paused_after_some(page: Page) -> Submission:
    """Choose eight pictures and a CSV about the last, and pause when three have arrived and four are held."""
    held: list[Route] = []
    passed: list[Route] = []

    def some(route: Route) -> None:
        if len(passed) < 3:
            passed.append(route)
            route.continue_()
        else:
            held.append(route)

    intercept(page, UPLOADS, some)
    table = {"name": "labels.csv", "mimeType": "text/csv", "buffer": LABELS}
    choose(page, [*pictures(8), table])
    expect(page.locator('.sending-file[data-state="accepted"]')).to_have_count(2)
    wait_until(page, lambda: len(held) == 4)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator('.sending-file[data-state="sending"]')).to_have_count(0)
    for route in held:
        route.abort()  # else what was held would go on below, and could arrive although the page gave it up
    page.unroute(UPLOADS)
    return Submission.objects.get()


def test_only_failed_files_are_tried_again(enter: Enter) -> None:
    page = enter("upload/")
    seen: list[str] = []

    def refuse_one(route: Route, request: Request) -> None:
        body = request.post_data_buffer or b""
        seen.append(next(name for name in NAMES if name.encode() in body))
        if seen.count("view_2.png") == 1 and seen[-1] == "view_2.png":
            route.fulfill(status=418, content_type="text/html", body="a proxy of the hospital")
        else:
            route.continue_()

    intercept(page, UPLOADS, refuse_one)
    choose(page, pictures(5))
    expect(page.get_by_role("alert")).to_have_text("1 file could not be sent.")
    expect(page.locator("[data-failures] li")).to_have_text("The portal refused view_2.png (code 418).")
    page.get_by_role("button", name="Try these again").click()
    expect(page).to_have_url(SUBMISSION)
    assert sorted(seen) == sorted([*NAMES, "view_2.png"])
    assert Upload.objects.filter(outcome="accepted").count() == 5


def test_a_file_that_went_away_is_named_and_left_to_the_person(enter: Enter, tmp_path: Path) -> None:
    page = enter("upload/")
    intercept(page, UPLOADS, hold)
    paths = [tmp_path / f"knee_{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        path.write_bytes(png(text=f"{number:04}"))
    page.locator("[data-choose]").first.set_input_files(paths)
    expect(page.locator('.sending-file[data-state="sending"]')).to_have_count(4)
    paths[5].unlink()
    page.unroute(UPLOADS)  # lets what was held go on
    expect(page.locator("[data-failures] li")).to_have_text(
        "The browser could not read knee_5.png. It may have been moved or changed."
    )
    page.get_by_role("button", name="Finish without them").click()
    expect(page).to_have_url(SUBMISSION)
    assert Upload.objects.count() == 5
    assert Submission.objects.get().state == "finished"


def test_leaving_half_way_is_asked_about(enter: Enter) -> None:
    page = enter("upload/")
    dialogs: list[str] = []

    def stay(dialog: Dialog) -> None:
        dialogs.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    intercept(page, UPLOADS, hold)
    page.get_by_role("heading", name="Upload").click()  # browsers ask only those who did something there
    choose(page, pictures(2))
    expect(page.locator('.sending-file[data-state="sending"]')).to_have_count(2)
    with page.expect_event("dialog"):
        page.get_by_role("link", name="Worklist").click(no_wait_after=True)
    expect(page.locator('.sending-file[data-state="sending"]')).to_have_count(2)
    assert dialogs == ["beforeunload"]
    assert page.url.endswith("/upload/")


def test_after_a_long_pause_the_rest_goes_into_a_new_submission(enter: Enter) -> None:
    """The portal finishes a submission that no file comes to; the remaining files are not lost."""
    page = enter("upload/")
    first = paused_after_some(page)
    finish_submission(submission=first, actor=PORTAL)
    page.get_by_role("button", name="Resume").click()
    expect(page).to_have_url(SUBMISSION)
    second = Submission.objects.exclude(pk=first.pk).get()
    assert page.url.endswith(f"/{second.pk}/")
    assert Upload.objects.filter(outcome="accepted").count() == Study.objects.count() == 8
    assert second.expected_files == second.uploads.count()
    assert second.continues == first
    last = Study.objects.get(images__uploads__filename="view_7.png")
    assert (last.submission, last.patient_reference) == (second, "NH-7")


def test_a_submission_that_was_cancelled_elsewhere_goes_no_further(enter: Enter) -> None:
    page = enter("upload/")
    cancel_submission(submission=paused_after_some(page), actor=PORTAL)
    held: list[Route] = []  # one file is still on its way when the others hear of it
    intercept(page, UPLOADS, lambda route: route.continue_() if held else held.append(route))
    opened: list[str] = []
    page.on(
        "request",
        lambda request: opened.append(request.url) if request.url.endswith("/submissions/") else None,
    )
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("alert")).to_have_text("This submission was cancelled. Start a new one.")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert opened == []
    assert Submission.objects.count() == 1


@pytest.fixture
def earlier(transactional_db: None) -> Earlier:
    """A study of this uploader that holds a picture already."""

    def make(content: bytes) -> Study:
        uploader = User.objects.get(email="ines@north.example")
        return make_study(
            submission=make_submission(Clinic.objects.get(slug="north"), uploader), content=content
        )

    return make


def test_duplicates_lead_to_the_earlier_study(enter: Enter, earlier: Earlier) -> None:
    page = enter("upload/")
    files = pictures(3)
    study = earlier(files[1]["buffer"])

    def hold_last(route: Route, request: Request) -> None:
        if b"view_2.png" not in (request.post_data_buffer or b""):
            route.continue_()

    intercept(page, UPLOADS, hold_last)
    choose(page, files)
    link = page.locator(".sending-status a")
    expect(link).to_have_text("Already here")
    expect(link).to_have_attribute("href", f"/c/north/studies/{study.pk}/")
    expect(page.locator("[data-summary]")).to_contain_text("1 already here")
    page.unroute(UPLOADS)  # lets what was held go on
    expect(page).to_have_url(SUBMISSION)
    row = page.get_by_role("row", name="view_1.png")
    expect(row).to_contain_text("Already here: this links to the earlier study.")
    expect(row.get_by_role("link")).to_have_attribute("href", f"/c/north/studies/{study.pk}/")
    assert Study.objects.count() == 3
