"""A day in a clinic that reads blind first: real browser, servers, worker and reconciler.

An uploader sends 200 radiographs, a reader works blind through ten, a second reader disagrees on one, a third
settles it, and the admin finds the case in scorecard and history and takes it home as CSV.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser, Page, expect
from pydicom.data import get_testdata_file
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import become
from tests.factories import PASSWORD, make_clinic, make_user
from tests.live.conftest import Portal, portal, redis_server
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.audit.services import verify
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study

__all__ = ["portal", "redis_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FILES = 200
READ = 10
VERDICT_WORDS = re.compile("No fracture seen|Fracture suspected|Uncertain|Unsupported", re.IGNORECASE)
Enter = Callable[[str], Page]


@pytest.fixture
def clinic(transactional_db: None) -> Clinic:
    """Reads blind first; one person for each part that is played."""
    clinic = make_clinic(slug="north", name="North Harbour", blind_first=True)
    for role, name in (
        (Role.UPLOADER, "ines"),
        (Role.READER, "rosa"),
        (Role.READER, "emil"),
        (Role.READER, "uma"),
        (Role.ADMIN, "ada"),
    ):
        make_user(clinic, role, email=f"{name}@north.example", first_name=name.capitalize())
    return clinic


@pytest.fixture
def enter(browser: Browser, live_server: LiveServer, clinic: Clinic) -> Iterator[Enter]:
    """``enter("rosa")``: a browser of their own, on the worklist; the first one signs in by the form."""
    contexts, problems = [], []

    def sign_in(name: str) -> Page:
        contexts.append(
            browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
        )
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        if len(contexts) > 1:
            become(contexts[-1], live_server, User.objects.get(email=f"{name}@north.example"))
        page.goto("/")
        if len(contexts) == 1:
            page.get_by_label("E-mail address").fill(f"{name}@north.example")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
        return page

    yield sign_in
    for context in contexts:
        context.close()
    assert problems == []


def radiographs(folder: Path) -> list[Path]:
    """The packaged radiograph of a tibia, a little moved and turned lighter: 200 different PNGs."""
    dataset = pydicom.dcmread(str(get_testdata_file("RG3_UNCR.dcm")))
    grey = dataset.pixel_array.max() - dataset.pixel_array.astype(np.float32)  # MONOCHROME1
    small = np.asarray(Picture.fromarray(grey / grey.max()).resize((440, 440)))
    paths = []
    for number in range(FILES):
        across, down = number % 20, number // 20
        part = small[2 * down : 2 * down + 400, 2 * across : 2 * across + 380] ** (0.8 + 0.02 * down)
        paths.append(folder / f"leg_{number:03}.png")
        Picture.fromarray((255 * part).astype(np.uint8)).save(paths[-1])
    return paths


def test_a_day(enter: Enter, clinic: Clinic, portal: Portal, tmp_path: Path) -> None:
    portal.worker()
    portal.reconciler()
    upload(enter("ines"), radiographs(tmp_path))

    rosa = enter("rosa")
    assert_nothing_is_told(rosa)
    studies = list(Study.objects.order_by("created_at", "pk")[:READ])
    for study in studies:
        read_blind(rosa, "Rosa", study, "1")
    case = studies[0]

    emil = enter("emil")
    read_blind(emil, "Emil", case, "2")
    assert Consensus.objects.get(study=case).state == "disagreed"

    derive_consensus(enter("uma"), case)
    consensus = Consensus.objects.get(study=case)
    assert (consensus.state, consensus.verdict) == ("adjudicated", "abnormal")

    find_and_export(enter("ada"), case)
    assert verify(clinic=clinic).is_whole


def upload(page: Page, files: list[Path]) -> None:
    """Through the page, and wait until every study is done."""
    page.goto("/c/north/upload/")
    page.locator("[data-choose]").first.set_input_files(files)
    expect(page).to_have_url(re.compile(r"/submissions/[-0-9a-f]{36}/$"), timeout=240_000)
    expect(page.locator("#progress")).to_contain_text(
        re.compile(f"{FILES} of {FILES} studies done"), timeout=240_000
    )
    assert Analysis.objects.filter(state="succeeded").count() == FILES


def assert_nothing_is_told(page: Page) -> None:
    """A reader who has said nothing yet: no page, list, count or file tells a prediction."""
    study = Study.objects.select_related("submission").order_by("created_at", "pk")[0]
    rows = page.locator("#studies tbody")
    lists = set()
    for query in ("", "?verdict=abnormal", "?verdict=normal", "?verdict=uncertain"):
        page.goto(f"/c/north/{query}")
        words = rows.inner_text() if rows.count() else ""
        assert not VERDICT_WORDS.search(words)
        lists.add((bool(query), re.sub(r"\d+ (min|s) ago|just now", "", words)))
        expect(page.locator("#studies .probability")).to_have_count(0)
    assert len(lists) == 2, "a filter by verdict tells the verdicts"
    page.goto(f"/c/north/submissions/{study.submission_id}/")
    assert not VERDICT_WORDS.search(page.locator("main").inner_text())
    page.goto("/c/north/submissions/")
    assert not VERDICT_WORDS.search(page.locator("main").inner_text())
    finding = Finding.objects.get(analysis=study.current)
    answers = {
        place: page.request.get(f"/c/north/{place}").status
        for place in (
            f"findings/{finding.pk}/display",
            f"findings/{finding.pk}/overlay",
            f"findings/{finding.pk}/map",
            "history/",
            "scorecard/",
        )
    }
    assert sorted(answers.values()) == [200, 404, 404, 404, 404], answers


def read_blind(page: Page, reader: str, study: Study, key: str) -> None:
    """Open the study, say one's own verdict by its key, then see the prediction, then sign."""
    page.goto(f"/c/north/studies/{study.pk}/")
    card = page.get_by_role("region", name="Verdict", exact=True)
    expect(card).to_contain_text("You will see the prediction after you save your own verdict.")
    for place in (card, page.locator("#study-history")):
        assert not VERDICT_WORDS.search(place.inner_text())
    expect(page.locator("[data-overlay-url]")).to_have_count(0)
    page.keyboard.press(key)
    page.get_by_role("button", name="Save and show the prediction").click()
    expect(card.locator(".verdict")).to_be_visible()
    draft = Review.objects.get(study=study, is_current=True, reader__first_name=reader)
    assert draft.was_blind
    assert not draft.is_signed
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator("#review-panel .card-head")).to_contain_text("Signed")


def derive_consensus(page: Page, study: Study) -> None:
    """From the list of disagreements to a final verdict."""
    page.goto("/c/north/disagreements/")
    page.locator(f'a[href$="{study.pk}/"]').click()
    expect(page.get_by_role("heading", name="Adjudication")).to_be_visible()
    expect(page.locator("#review-panel .review-row")).to_have_count(2)
    page.get_by_role("radio", name="Fracture suspected").check()
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator("#review-panel .review-status")).to_contain_text("Decided by adjudication")


def find_and_export(page: Page, study: Study) -> None:
    """From the scorecard's figures by way of history to the CSV."""
    page.goto("/c/north/scorecard/")
    expect(page.get_by_role("heading", name="Confusion matrix")).to_be_visible()
    assert sum(int(number) for number in page.locator(".matrix").first.locator("a").all_inner_texts()) == READ
    page.goto("/c/north/history/?review_status=adjudicated")
    row = page.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Adjudicated")
    expect(row.locator(f'a[href$="{study.pk}/"]')).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV").click()
    notice, *table = Path(started.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert notice.startswith("Research use only. Not a diagnosis.")
    (exported,) = csv.DictReader(table)
    verdict = study.current.verdict if study.current else ""
    expected = {
        "study": str(study.pk),
        "review_status": "adjudicated",
        "readers_verdict": "abnormal",
        "readers": "2",
    }
    assert expected | {"model_verdict": verdict} == {
        name: exported[name] for name in [*expected, "model_verdict"]
    }
