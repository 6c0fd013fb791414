"""Versions of polling fragments: one text in the address, the same from Python and from the database."""

from __future__ import annotations

import pytest
from django.db.models import F
from django.test import RequestFactory

from tests.factories import make_clinic, make_study
from xrayportal.studies.models import Study
from xrayportal.web.shared.polling import Version, seen_version, unchanged, version_expr


@pytest.mark.parametrize("version", [Version("open.3"), Version("open.3", "17"), Version("", "17")])
def test_the_browser_sends_back_what_it_got(version: Version) -> None:
    request = RequestFactory().get("/", {"seen": str(version)})
    assert seen_version(request) == version


def test_a_request_without_a_version_is_no_poll() -> None:
    assert seen_version(RequestFactory().get("/")) is None


def test_html_that_differs_has_another_content() -> None:
    assert Version.of_html("<p>1</p>") == Version.of_html("<p>1</p>")
    assert Version.of_html("<p>1</p>").content != Version.of_html("<p>2</p>").content


@pytest.mark.django_db
def test_the_database_writes_versions_as_python_does() -> None:
    study = make_study(make_clinic())
    row = Study.objects.annotate(version=version_expr(F("state"), F("current"), F("priority"))).get()
    assert row.version == str(Version.of_values(study.state, study.current, study.priority))


def test_what_holds_is_answered_without_a_body() -> None:
    response = unchanged()
    assert (response.status_code, response.content) == (204, b"")
