"""The frame of every page: the notice, the content policy, the landmarks, the sidebar, the error pages."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client, override_settings
from django.urls import reverse

from tests.factories import make_analysis, make_clinic, make_study, make_submission
from tests.house import House, browser
from xrayportal.clinics.models import Membership
from xrayportal.web.shared.sidebar import SETTINGS_PAGES, SIDEBAR

#: What the Content-Security-Policy would not run, and what it would not paint.
FORBIDDEN = {
    "inline script": r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>",
    "inline handler": r"<[^>]+\son[a-z]+\s*=",
    "inline style": r"<[^>]+\sstyle\s*=|<style",
    "another origin": r"(?:src|href|action)=[\"'](?:https?:)?//",
}


@pytest.fixture
def addresses(house: House) -> list[str]:
    submission = make_submission(house.clinic, house.uploader, state="finished")
    study = make_study(submission=submission, views=2)
    make_analysis(study)
    slug = house.clinic.slug
    return [
        reverse("worklist", args=[slug]),
        reverse("upload", args=[slug]),
        reverse("submissions", args=[slug]),
        reverse("submission", args=[slug, submission.pk]),
        reverse("study", args=[slug, study.pk]),
    ]


def test_every_page(house: House, addresses: list[str]) -> None:
    pages = {address: browser(house.admin).get(address) for address in addresses}
    pages["sign-in"] = browser(None).get(reverse("sign-in"))
    pages["404"] = browser(house.admin).get("/nowhere/")
    pages["home"] = browser(house.superuser).get(reverse("home"))
    pages["access"] = browser(house.superuser).get(reverse("content-access", args=[house.clinic.slug]))
    for address, response in pages.items():
        page = response.content.decode()
        assert "Research use only." in page, address
        assert page.count("<h1") == 1, address
        assert 'class="skip" href="#main"' in page, address
        assert 'id="main"' in page, address
        for name, pattern in FORBIDDEN.items():
            assert not re.search(pattern, page), (address, name)
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]


def test_rail_leads_where_the_person_may_go(house: House, addresses: list[str]) -> None:
    page = browser(house.uploader).get(addresses[0]).content.decode()
    sidebar = page.split('<nav class="sidebar"')[1].split("</nav>")[0]
    assert addresses[1] in sidebar
    assert addresses[2] in sidebar
    assert re.search(rf'href="{addresses[0]}"[^>]* aria-current="page"', sidebar)
    assert "Change clinic" not in sidebar
    assert reverse("admin:index") not in sidebar


def test_clinic_switcher_is_for_who_has_several(house: House, addresses: list[str]) -> None:
    other = make_clinic(name="Lakeside")
    Membership.objects.create(clinic=other, user=house.reader, role="reader")
    page = browser(house.reader).get(addresses[0]).content.decode()
    assert "Change clinic" in page
    assert reverse("worklist", args=[other.slug]) in page


def test_bundle_is_named_at_the_foot(house: House, addresses: list[str]) -> None:
    page = browser(house.uploader).get(addresses[1]).content.decode()
    assert re.search(r'<footer class="footer">.*Model test-\d+@1', page, re.S)


def test_times_are_the_clinics(house: House) -> None:
    house.clinic.time_zone = "Asia/Tokyo"
    house.clinic.save()
    make_study(house.clinic)
    address = reverse("worklist", args=[house.clinic.slug]) + "?list=all"
    page = browser(house.reader).get(address).content.decode()
    assert re.search(r'<time datetime="[^"]+" title="[^"]+ JST">just now</time>', page)


def test_forged_form_is_told_in_words(house: House) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post(reverse("sign-in"), {"username": "a@b.example", "password": "x"})
    assert response.status_code == 403
    assert b"Please try again" in response.content


@override_settings(DEBUG=False)
def test_server_error_page_needs_nothing() -> None:
    page = render_to_string("500.html")
    assert "Something went wrong" in page
    assert "Research use only." in page


def test_every_icon_that_a_page_names_is_in_the_sprite() -> None:
    sprite = (settings.BASE_DIR / "static/vendor/lucide/sprite.svg").read_text("utf-8")
    there = set(re.findall(r'<symbol id="([-a-z0-9]+)"', sprite))
    icons = "\n".join(str(entry.icon) for entry in (*SIDEBAR, *SETTINGS_PAGES))
    templates = "\n".join(
        path.read_text("utf-8") for path in (settings.BASE_DIR / "templates").rglob("*.html")
    )
    named = set(re.findall(r'(?:{% icon |icon_name=|icon=)"([-a-z0-9]+)"', templates))
    named |= set(re.findall(r"sprite\.svg' %}#([-a-z0-9]+)", templates)) | set(icons.split())
    assert len(named) > 40
    assert named <= there


def test_what_is_too_large_or_makes_no_sense_has_a_page_of_its_own(house: House) -> None:
    person = browser(house.uploader)
    too_many = person.post(reverse("password"), {f"field-{number}": "" for number in range(2000)})
    assert (too_many.status_code, "Too large" in too_many.content.decode()) == (413, True)
    nonsense = person.get("/", headers={"host": "not a host"})
    assert (nonsense.status_code, "Request not understood" in nonsense.content.decode()) == (400, True)


def test_without_scripts_the_upload_is_a_plain_form(house: House, addresses: list[str]) -> None:
    page = browser(house.uploader).get(addresses[1]).content.decode()
    (form,) = re.findall(r'<form class="uploader".*?</form>', page, re.S)
    assert 'method="post"' in form
    assert 'enctype="multipart/form-data"' in form
    assert f'action="{addresses[1]}"' in form
    assert 'name="files" multiple' in form
    assert re.search(r"<button[^>]* data-without-script>Upload</button>", form)
