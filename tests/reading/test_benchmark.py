"""The benchmarks' pieces on a few studies; the figures themselves are not a matter for a test."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from benchmarks.portal import WORKLIST
from benchmarks.reading import Memory, Session, slope
from benchmarks.reference import MILLISECONDS, Measured, Reference, reference_routed
from tests.browser.scene import tab
from tests.counting import counted
from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_user
from tests.house import House
from tests.house import browser as signed_in
from xrayportal.clinics.models import Role
from xrayportal.reviews.models import Review
from xrayportal.web.worklist.rows import Filters

STUDIES = 6


@pytest.fixture
def page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    make_bundle()
    clinic = make_clinic(slug="north")
    for number in range(STUDIES):
        make_analysis(make_study(clinic, patient_reference=f"NH-{number}"))
    with tab(browser, live_server, make_user(clinic, Role.READER)) as context:
        yield context.new_page()


@pytest.mark.slow
def test_a_session_is_read_with_two_keys_a_study(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.reading.EVERY", 1)
    session = Session(page)
    session.start("/c/north/?list=review&sort=oldest")
    session.read(2, look_ms=0)
    assert session.keys == [2, 4]
    assert Review.objects.filter(signed_at__isnull=False).count() == 2
    assert all(0 < answer < paint for answer, paint in zip(session.answers, session.paints, strict=True))
    # The next page, and the picture and map of the study after the next one.
    assert all(3 <= requests <= 6 for requests in session.requests)
    assert all(kilobytes > 1 for kilobytes in session.kilobytes)
    assert [look.studies for look in session.memory] == [1, 2]
    assert all(look.heap > 100_000 and look.nodes > 100 and look.listeners > 10 for look in session.memory)
    assert {row.what: row.kept for row in session.rows(2)}["keys for 2 signed studies"] is True

    session.fetch_nothing_ahead()
    assert page.evaluate("document.querySelectorAll('[data-ahead]').length") == 0
    assert len(session.paints) == 5


def test_growth_is_a_slope_over_the_studies() -> None:
    looks = [Memory(studies, 5_000_000 + 200 * studies, 900, 70 - studies) for studies in (10, 20, 30)]
    assert slope(looks, "heap") == pytest.approx(200)
    assert slope(looks, "nodes") == pytest.approx(0)
    assert slope(looks, "listeners") == pytest.approx(-1)


def test_promises_scale_with_the_reference() -> None:
    for unit in (MILLISECONDS, 2 * MILLISECONDS):
        measured = Measured.against([10 * unit, 10.2 * unit], [unit, 0.9 * unit, 30 * unit])
        plain, promised = measured.rows("page", p95_at_most=31)
        assert (plain.kept, promised.unit, promised.expected, promised.kept) == (
            None, "times", "p95 ≤ 10.3", True,
        )  # fmt: skip
        (_, promised) = measured.rows("page", at_most=30)
        assert promised.kept is False
        assert [row.what for row in measured.rows("page")] == ["page"]
    both = Measured.together([Measured.against([4], [2]), Measured.against([9], [3])])
    assert (both.milliseconds, both.multiples) == ([4, 9], [2, 3])


def test_the_reference_is_a_view_of_the_portal_with_two_queries(house: House) -> None:
    study = make_study(house.clinic)
    with reference_routed():
        reference = Reference(signed_in(house.reader), study.pk)
        with counted() as queries:
            reference.look()
        assert len(queries) == 2
        assert len(reference.looks(2)) == 2
        assert Client().get(reverse("reference", args=[study.pk])).status_code == 302
        assert reverse("worklist", args=["north"]) == "/c/north/"


@pytest.mark.parametrize("query", [query for query in WORKLIST if query])
def test_every_address_that_is_measured_filters(query: str) -> None:
    asked = {name: value for name, value in parse_qsl(query) if name != "page"}
    assert dict(parse_qsl(Filters.read(QueryDict(query)).query)) == asked
