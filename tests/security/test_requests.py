"""Requests of strangers: they fill no disk, pages are not cached, and no header breaks the sign-in."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client, RequestFactory
from django.urls import reverse
from django_htmx.middleware import HtmxDetails

from tests.factories import PASSWORD, make_study
from tests.house import House, browser
from xrayportal.clinics import sign_in
from xrayportal.intake.filenames import clean_filename, clean_reference, comparable_path, folder_of
from xrayportal.intake.upload_handler import BoundedFileUploadHandler
from xrayportal.logs import LineFormatter
from xrayportal.security import client_address, page_address

pytestmark = pytest.mark.django_db
#: Out of order, so that composing has to sort them.
MARKS = "\u0300\u0316" * 200_000


@pytest.mark.parametrize("door", ["sign-in", "home"])
def test_a_stranger_fills_no_disk(door: str, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(BoundedFileUploadHandler, "new_file", lambda *args, **kwargs: begun.append(args))
    client = Client(enforce_csrf_checks=True)
    client.get(reverse("sign-in"))
    large = SimpleUploadedFile("a.png", b"x" * (settings.FILE_UPLOAD_MAX_MEMORY_SIZE + 1))
    token = client.cookies[settings.CSRF_COOKIE_NAME].value
    response = client.post(reverse(door), {"a": large, "csrfmiddlewaretoken": token})
    assert response.status_code in (302, 403)
    assert not begun


def test_pages_with_patient_content_are_not_kept(house: House) -> None:
    study = make_study(house.clinic)
    client = browser(house.reader)
    for address in (
        reverse("worklist", args=[house.clinic.slug]),
        reverse("study", args=[house.clinic.slug, study.pk]),
        reverse("study-result", args=[house.clinic.slug, study.pk]),
        reverse("submissions", args=[house.clinic.slug]),
    ):
        response = client.get(address)
        assert response.status_code == 200
        assert "no-store" in response.headers["Cache-Control"], address
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    # A stored picture never changes, and its view says how long it may be kept.
    image = study.images.get()
    response = client.get(reverse("image-file", args=[house.clinic.slug, image.pk]))
    assert response.headers["Cache-Control"].startswith("private, max-age")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    response.close()


def test_a_broken_address_in_a_header_breaks_nothing(client: Client) -> None:
    response = client.get("/", headers={"hx-request": "true", "hx-current-url": "http://[half"})
    assert response.status_code == 204
    assert response.headers["HX-Redirect"] == f"{reverse('sign-in')}?next=%2F"


@pytest.mark.parametrize(
    ("method", "headers", "page"),
    [
        ("get", {}, "/asked/?view=2"),
        # One page after another: what is asked for is the page.
        (
            "get",
            {"HX-Request": "true", "HX-Target": "page", "HX-Current-URL": "http://h/c/"},
            "/asked/?view=2",
        ),
        ("get", {"HX-Request": "true", "HX-Current-URL": "https://h/c/?q=x#top"}, "/c/?q=x"),
        ("post", {"HX-Request": "true", "HX-Current-URL": "https://h/c/?q=x"}, "/c/?q=x"),
        ("get", {"HX-Request": "true", "Referer": "https://h/c/"}, "/c/"),
        ("post", {"Referer": "https://h/c/?q=x"}, "/c/?q=x"),
        ("post", {}, "/"),
        ("post", {"Referer": "https://h//evil.example/"}, "/"),
        ("post", {"Referer": "http://[half"}, "/"),
    ],
)
def test_every_request_knows_its_page(
    rf: RequestFactory, method: str, headers: dict[str, str], page: str
) -> None:
    request = getattr(rf, method)("/asked/?view=2", headers=headers)
    request.htmx = HtmxDetails(request)
    assert page_address(request) == page


def test_a_link_local_address_has_no_zone(rf: RequestFactory, house: House) -> None:
    assert client_address(rf.get("/", REMOTE_ADDR="fe80::1%eth0")) == "fe80::1"
    wrong = {"username": house.reader.email, "password": "wrong"}
    assert Client(REMOTE_ADDR="fe80::1%eth0").post(reverse("sign-in"), wrong).status_code == 200


def test_a_network_of_ipv6_has_one_limit(house: House) -> None:
    wrong = {"username": house.reader.email, "password": "wrong"}
    for number in range(sign_in.ACCOUNT_LIMIT):
        Client(REMOTE_ADDR=f"2001:db8:1:2::{number + 1:x}").post(reverse("sign-in"), wrong)
    assert sign_in.is_throttled(house.reader.email, "2001:db8:1:2:ffff::9")
    assert not sign_in.is_throttled(house.reader.email, "2001:db8:1:3::1")
    assert not sign_in.is_throttled(house.reader.email, "192.0.2.1")


def test_one_account_is_one_account_however_it_is_written(house: House) -> None:
    wide = house.reader.email.replace("p", "\N{FULLWIDTH LATIN SMALL LETTER P}")
    wrong = {"username": wide, "password": "wrong"}
    for _ in range(sign_in.ACCOUNT_LIMIT):
        Client().post(reverse("sign-in"), wrong)
    assert sign_in.is_throttled(house.reader.email, "127.0.0.1")
    assert sign_in.is_throttled(wide, "127.0.0.1")


def test_a_stranger_s_long_address_costs_no_hours(house: House) -> None:
    """Normalising costs the square of a run of marks: these took a process for half an hour."""
    begun = time.process_time()
    Client().post(reverse("sign-in"), {"username": "a" + MARKS, "password": "wrong"})
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("write", [clean_filename, folder_of, comparable_path, clean_reference])
@pytest.mark.parametrize("marks", [MARKS, "\u0f73" * 200_000], ids=["two marks", "a mark of two"])
def test_a_hostile_name_costs_no_hours(write: Callable[[str], str], marks: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(ValidationError):  # a reference is refused, not cut
        write(f"e{marks}/x.png")
    assert time.process_time() - begun < 20


def test_a_name_s_own_marks_stay() -> None:
    thai, stacked = "\u0e01\u0e33\u0e31\u0e49", "o" + "\u0323\u0307" * 15
    assert clean_filename(f"{thai}.png") == f"{thai}.png"
    assert comparable_path(f"a/{stacked}.png") == unicodedata.normalize("NFC", f"a/{stacked}.png")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(target: str, house: House) -> None:
    entered = {"username": house.reader.email, "password": PASSWORD, "next": target}
    response = Client().post(reverse("sign-in"), entered)
    assert response.status_code == 302
    assert response.headers["Location"] == "/"


def test_a_traceback_does_not_quote_the_row(house: House) -> None:
    name = "Mustermann, Erika"
    make_study(house.clinic, grouping_key=name, views=0)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        make_study(house.clinic, grouping_key=name, views=0)
    text = LineFormatter("%(message)s").format(
        logging.LogRecord("x", logging.ERROR, "", 0, "failed", None, (caught.type, caught.value, caught.tb))
    )
    assert "study_part_once" in text
    assert name not in text
    assert text.count("(left out)") == 2  # the driver's error and Django's


def test_a_wrong_host_is_one_line(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(LineFormatter("%(message)s"))
    assert client.get("/sign-in/", headers={"host": "elsewhere.example"}).status_code == 400
    assert "elsewhere.example" in caplog.text
    assert "Traceback" not in caplog.text
    assert caplog.text.count("\n") == 1


@pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="another server's log")
def test_the_database_logs_no_row(house: House) -> None:
    name = "Musterfrau, Max"
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 / (length(%s) - length(%s))", [name, name])
    make_study(house.clinic, grouping_key=name, views=0)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_study(house.clinic, grouping_key=name, views=0)
    log = (Path(settings.VAR_DIR) / "postgres" / "postgres.log").resolve().read_text()
    assert "division by zero" in log
    assert "study_part_once" in log
    assert "Musterfrau" not in log
