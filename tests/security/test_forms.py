"""Values that no browser sends get an answer, never a server error."""

from __future__ import annotations

import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.factories import make_study, make_submission, png
from tests.house import House, Sender, browser
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Upload

pytestmark = pytest.mark.django_db
#: Null character, superscript digit, numbers beyond every column, other scripts' digits, markup.
ODD = [
    "\x00",
    "a\x00b",
    "\u00b2",
    "9" * 30,
    "0001-01-01",
    "9999-12-30",
    "0001-01-01T00:00:00+23:59,00000000-0000-0000-0000-000000000000",
    "9" * 5000,
    "-1",
    "\u0663",
    "NaN",
    "1e400",
    "<b>",
    "\ufffd",
    "'",
]


@pytest.mark.parametrize("odd", ODD)
def test_addresses_take_odd_values(odd: str, house: House) -> None:
    study = make_study(house.clinic)
    slug = house.clinic.slug
    fields = "page q verdict body_part state from to bundle reader review_status readers basis before after"
    fields += " uncertain"
    fields += " seen view kept beside list sort"
    query = dict.fromkeys(fields.split(), odd)
    house.admin.memberships.create(clinic=house.clinic, role=Role.READER)
    client = browser(house.admin)
    pages: dict[str, list[object]] = {
        "worklist": [slug],
        "submissions": [slug],
        "submission": [slug, study.submission_id],
        "submission-progress": [slug, study.submission_id],
        "study": [slug, study.pk],
        "study-result": [slug, study.pk],
        "disagreements": [slug],
        "history": [slug],
        "scorecard": [slug],
    }
    for name, args in pages.items():
        assert client.get(reverse(name, args=args), query).status_code in (200, 204), name


@pytest.mark.parametrize("odd", ODD)
def test_posts_take_odd_values(odd: str, house: House) -> None:
    study = make_study(house.clinic)
    slug = house.clinic.slug
    house.admin.memberships.create(clinic=house.clinic, role=Role.READER)
    client = browser(house.admin)
    fields = "expected_files grouping continues forced_body_part verdict body_part boxes comment"
    fields += " supersedes adjudicates"
    fields += " reader email roles name time_zone threshold_low threshold_high retention_days blind_first"
    fields += " action study query username password key path refusal size patient_reference reason"
    fields += " old_password new_password1"
    entered = dict.fromkeys(fields.split(), odd)
    mine = make_submission(house.clinic, house.admin)
    posts: dict[str, list[object]] = {
        "submissions": [slug],
        "submission-uploads": [slug, mine.pk],
        "analysis-request": [slug, study.pk],
        "review-save": [slug, study.pk],
        "review-sign": [slug, study.pk],
        "adjudicator": [slug, study.pk],
        "people-invite": [slug],
        "people-roles": [slug, house.reader.pk],
        "people-reactivate": [slug, house.reader.pk],
        "clinic-settings": [slug],
        "password": [],
        "worklist-bulk-action": [slug],
        "saved-views": [slug],
    }
    for name, args in posts.items():
        assert client.post(reverse(name, args=args), entered).status_code < 500, name
    assert Client().post(reverse("sign-in"), entered).status_code == 200


def test_a_key_with_a_null_character_is_refused(sender: Sender) -> None:
    begun = sender.begin()
    assert sender.send(begun, "a.png", png(), key="a\x00b").status_code == 400
    assert sender.send(begun, "a\x00.png", png(), key="a", path="x/\x00/a.png").status_code == 201


def test_a_size_beyond_every_number_is_kept_as_far_as_it_goes(sender: Sender) -> None:
    begun = sender.begin()
    entered = {"key": "a", "path": "a.png", "refusal": "too-large", "size": "9" * 40}
    response = sender.client.post(begun["uploads"], entered)
    assert response.status_code == 201
    assert Upload.objects.get().size == 2**63 - 1


def test_a_view_that_is_too_long_is_not_kept(house: House) -> None:
    entered = {"name": "long", "query": "q=" + "\N{FACE WITH THERMOMETER}" * 64}
    response = browser(house.reader).post(reverse("saved-views", args=[house.clinic.slug]), entered)
    assert response.status_code == 302


def test_keys_belong_to_their_submission(sender: Sender) -> None:
    one, other = sender.begin(), sender.begin()
    first = sender.send(one, "a.png", png(shade=1), key="same").json()
    second = sender.send(other, "b.png", png(shade=2), key="same").json()
    assert first["id"] != second["id"]
    assert second["filename"] == "b.png"


def test_what_is_no_utf8_is_an_answer(house: House) -> None:
    client = browser(house.admin)
    address = reverse("people-invite", args=[house.clinic.slug])
    answers = [
        client.post(address, b"email=%FF%FE&roles=\xff", content_type="application/x-www-form-urlencoded"),
        client.post(address, b"a=b", content_type="application/x-www-form-urlencoded; charset=utf-7"),
        client.post(address, b"--x", content_type="multipart/form-data; boundary=x"),
        client.post(address, b"", content_type="multipart/form-data"),
        client.post(address, {f"f{n}": "" for n in range(1100)}),
        client.post(address, {"email": "x" * 3_000_000}),
    ]
    assert all(400 <= answer.status_code < 500 for answer in answers), [a.status_code for a in answers]


@pytest.mark.parametrize("name", ["study", "study-result", "study-history", "review", "report"])
def test_another_clinics_rows_are_not_there(name: str, house: House) -> None:
    """Ids of one clinic under the address of another, in which the person may see everything."""
    study = make_study(house.clinic)
    access = house.stranger.memberships.first()
    assert access is not None
    client = browser(house.stranger)
    assert client.get(reverse(name, args=[access.clinic.slug, study.pk])).status_code == 404
    assert client.get(reverse(name, args=[access.clinic.slug, uuid.uuid4()])).status_code == 404
    assert client.get(reverse(name, args=[house.clinic.slug, study.pk])).status_code == 404


def test_another_clinics_rows_cannot_be_changed(house: House) -> None:
    study = make_study(house.clinic)
    other = house.stranger.memberships.first()
    assert other is not None
    slug, client = other.clinic.slug, browser(house.stranger)
    for name, pk in {
        "analysis-request": study.pk,
        "review-save": study.pk,
        "review-sign": study.pk,
        "adjudicator": study.pk,
        "submission-uploads": study.submission_id,
        "submission-finish": study.submission_id,
        "submission-cancel": study.submission_id,
        "submission-retry": study.submission_id,
        "people-roles": house.reader.pk,
        "people-link": house.reader.pk,
        "people-reactivate": house.reader.pk,
    }.items():
        file = SimpleUploadedFile("a.png", png())
        entered = {"verdict": "normal", "key": "k", "file": file, "roles": "admin"}
        assert client.post(reverse(name, args=[slug, pk]), entered).status_code == 404, name
