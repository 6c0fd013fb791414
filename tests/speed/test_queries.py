"""A page costs the same number of queries over any number of studies. Times are in the benchmarks."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.house import House, browser
from xrayportal.analyses.models import Analysis
from xrayportal.operations.seeding.seed import seed_studies
from xrayportal.studies.models import Study, Submission

PAGES = ("worklist", "submissions", "history", "disagreements", "scorecard", "clinic-operations")
LISTS = (
    *("", "verdict=abnormal", "body_part=wrist", "state=failed", "q=NH"),
    *("sort=urgency", "sort=body_part", "list=all&page=2"),
)
#: Orders and lists of several phases (`worklist.order.Phases`); readers begin at one.
PHASED = ("", "sort=urgency", "sort=body_part")
#: Session, person, access; what a frame asks; what the page asks.
MOST = {
    "worklist": 16,
    "submissions": 12,
    "history": 18,
    "disagreements": 16,
    "scorecard": 24,
    "clinic-operations": 20,
}


def queries(client: Client, address: str) -> int:
    """How many queries a page takes for somebody who looks at the same list again: another is remembered."""
    client.get(address)
    cache.clear()
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code in (200, 204)
    return len(captured)


def seed(house: House, studies: int) -> None:
    seed_studies(clinic=house.clinic, studies=studies, days=3, waiting=3, seed=studies, force=True)


@pytest.mark.parametrize("name", PAGES)
def test_lists_cost_the_same_when_they_grow(full: House, name: str) -> None:
    # Enough for every list to have rows: an empty one asks less.
    seed(full, 150)
    client, address = browser(full.admin), reverse(name, args=[full.clinic.slug])
    few = queries(client, address)
    seed(full, 200)
    assert queries(client, address) == few <= MOST[name]


@pytest.mark.parametrize("query", LISTS)
@pytest.mark.parametrize("who", ["reader", "uploader"])
def test_filters_cost_the_same_when_the_list_grows(full: House, who: str, query: str) -> None:
    Submission.objects.update(submitter=full.uploader)
    client = browser(getattr(full, who))
    address = reverse("worklist", args=[full.clinic.slug]) + f"?{query}"
    few = queries(client, address)
    seed(full, 200)
    Submission.objects.update(submitter=full.uploader)
    grown = queries(client, address)
    if query in PHASED:
        # One query a phase of the order, up to the one that fills the page: with more studies an earlier one
        # does, so the page may ask fewer, and never more.
        assert grown <= few <= MOST["worklist"]
    else:
        assert grown == few <= MOST["worklist"]


def test_study_page_costs_the_same_whatever_the_clinic_holds(full: House) -> None:
    client = browser(full.reader)
    studies = Study.objects.filter(current__isnull=False, consensus__isnull=True).order_by("created_at")
    # Without a reference the title is the name of a file, which another query finds.
    studies = studies.exclude(patient_reference="")
    addresses = [reverse("study", args=[full.clinic.slug, study.pk]) for study in (studies[0], studies[9])]
    first = queries(client, addresses[0])
    seed(full, 200)
    assert queries(client, addresses[1]) == first <= 26


@pytest.mark.parametrize("who", ["reader", "admin"])
def test_idle_poll_asks_one_question_and_has_no_body(full: House, who: str) -> None:
    analysis = Analysis.objects.filter(state="queued")[0]
    analysis.state = "running"
    analysis.started_at = analysis.leased_until = analysis.requested_at
    analysis.save()
    client = browser(getattr(full, who))
    study = reverse("study", args=[full.clinic.slug, analysis.study_id])
    (result,) = re.findall(r'id="study-result"[^>]* hx-get="([^"]+)"', client.get(study).content.decode())
    worklist = reverse("worklist", args=[full.clinic.slug])
    (seen,) = re.findall(r'data-seen="([^"]*)"', client.get(worklist).content.decode())
    for address in (result.replace("&amp;", "&"), f"{worklist}?seen={seen}"):
        with CaptureQueriesContext(connection) as captured:
            idle = client.get(address, headers={"HX-Request": "true"})
        assert (idle.status_code, idle.content) == (204, b"")
        # Who asks is one: session, person and accesses come together.
        assert len(captured) == 2
        assert "manifest" not in captured[-1]["sql"]
