"""Permissions of roles, and the same 404 for everybody without them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, body, browser
from xrayportal.access import TABLE, ClinicAccess, Permission, access_of
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Membership, Role, User
from xrayportal.studies.models import Upload

pytestmark = pytest.mark.django_db


def access(house: House, user: User) -> ClinicAccess:
    return access_of(user, Membership.objects.filter(user=user, clinic=house.clinic).select_related("clinic"))


def test_table_is_the_designs() -> None:
    assert {permission for permission in Permission if permission in TABLE[Role.UPLOADER]} == {
        Permission.SUBMIT,
        Permission.SEE_OWN,
    }
    assert Permission.REVIEW in TABLE[Role.READER]
    assert Permission.REVIEW not in TABLE[Role.ADMIN]
    assert Permission.MANAGE in TABLE[Role.ADMIN]
    assert Permission.MANAGE not in TABLE[Role.READER]
    assert not {Permission.SUBMIT, Permission.REVIEW, Permission.MANAGE} & TABLE["granted"]


def test_roles_add_up(house: House) -> None:
    Membership.objects.create(clinic=house.clinic, user=house.admin, role=Role.READER)
    both = access(house, house.admin)
    assert both.may(Permission.REVIEW)
    assert both.may(Permission.MANAGE)


def test_uploader_sees_own_rows_only(house: House) -> None:
    mine = make_study(submission=make_submission(house.clinic, house.uploader))
    theirs = make_study(submission=make_submission(house.clinic, house.colleague))
    make_analysis(mine)
    make_analysis(theirs)
    own = access(house, house.uploader)
    assert list(own.studies()) == [mine]
    assert list(own.submissions()) == [mine.submission]
    assert {image.study for image in own.images()} == {mine}
    assert {analysis.study for analysis in own.analyses()} == {mine}
    assert {finding.image.study for finding in own.findings()} == {mine}
    assert set(access(house, house.reader).studies()) == {mine, theirs}
    assert set(access(house, house.admin).submissions()) == {mine.submission, theirs.submission}


def test_uploader_sees_the_study_of_a_picture_they_sent_again(house: House) -> None:
    theirs = make_study(submission=make_submission(house.clinic, house.colleague))
    Upload.objects.create(
        submission=make_submission(house.clinic, house.uploader),
        key="again",
        filename="again.png",
        outcome=Upload.Outcome.DUPLICATE,
        image=theirs.images.get(),
    )
    own = access(house, house.uploader)
    assert list(own.studies()) == list(own.studies(listed=True)) == [theirs]


def test_a_sender_keeps_the_study_that_moved_to_another_submission(house: House) -> None:
    study = make_study(submission=make_submission(house.clinic, house.colleague))
    sent = Upload.objects.create(
        submission=study.submission,
        key="first",
        filename="first.png",
        outcome=Upload.Outcome.ACCEPTED,
        image=study.images.get(),
    )
    sent.refresh_from_db()
    assert not sent.elsewhere
    first, study.submission = study.submission, make_submission(house.clinic, house.uploader)
    study.save()
    for who in (house.colleague, house.uploader):
        own = access(house, who)
        assert list(own.studies()) == list(own.studies(listed=True)) == [study]
    study.submission = first
    study.save()
    sent.refresh_from_db()
    assert not sent.elsewhere


def test_other_clinics_rows_never_show(house: House) -> None:
    foreign = make_study()
    make_analysis(foreign)
    for user in (house.uploader, house.reader, house.admin):
        own = access(house, user)
        for rows in (own.studies(), own.submissions(), own.images(), own.analyses(), own.findings()):
            assert not rows.exists()


@pytest.fixture
def rows(house: House) -> dict[str, Any]:
    """A finished submission of the uploader with a result, for the addresses below."""
    submission = make_submission(house.clinic, house.uploader)
    study = make_study(submission=submission)
    analysis = make_analysis(study)
    return {
        "clinic": house.clinic.slug,
        "submission": submission.pk,
        "study": study.pk,
        "image": study.images.get().pk,
        "finding": analysis.findings.get().pk,
    }


#: name of the address, names of its parameters, method, roles that reach it, answer they get
ADDRESSES = [
    ("worklist", (), "get", "uploader colleague reader admin", 200),
    ("upload", (), "get", "uploader colleague reader admin", 200),
    ("submissions", (), "get", "uploader colleague reader admin", 200),
    ("submissions", (), "post", "uploader colleague reader admin", 201),
    ("submission", ("submission",), "get", "uploader reader admin", 200),
    ("submission-progress", ("submission",), "get", "uploader reader admin", 200),
    ("submission-uploads", ("submission",), "post", "uploader", 400),
    ("submission-finish", ("submission",), "post", "uploader admin", 302),
    ("submission-cancel", ("submission",), "post", "uploader admin", 302),
    ("study", ("study",), "get", "uploader reader admin", 200),
    ("image-file", ("image",), "get", "uploader reader admin", 200),
]
PEOPLE = ("uploader", "colleague", "reader", "admin", "stranger", "superuser")


@pytest.mark.parametrize(("name", "parameters", "method", "welcome", "answer"), ADDRESSES)
def test_every_address_by_role(
    house: House,
    rows: dict[str, Any],
    name: str,
    parameters: tuple[str, ...],
    method: str,
    welcome: str,
    answer: int,
) -> None:
    address = reverse(name, args=[rows["clinic"], *(rows[parameter] for parameter in parameters)])
    refusals = set()
    for person in PEOPLE:
        response = getattr(browser(getattr(house, person)), method)(address)
        content = body(response)
        if person in welcome.split():
            assert response.status_code == answer, (person, content)
        else:
            assert response.status_code == 404, person
            refusals.add(content)
    if parameters:
        missing = reverse(name, args=[rows["clinic"], uuid.uuid4()])
        response = getattr(browser(house.stranger), method)(missing)
        assert response.status_code == 404
        assert body(response) in refusals  # nothing tells a missing row from one that is not yours
        malformed = address.replace(str(rows[parameters[0]]), "1-or-1")
        assert getattr(browser(house.uploader), method)(malformed).status_code == 404
    anonymous = getattr(browser(None), method)(address)
    assert anonymous.status_code == 302
    assert anonymous.url.startswith(reverse("sign-in"))


@pytest.mark.parametrize("kind", ["display", "thumbnail", "overlay", "map"])
def test_finding_files_by_role(house: House, rows: dict[str, Any], kind: str) -> None:
    address = reverse("finding-file", args=[rows["clinic"], rows["finding"], kind])
    for person in PEOPLE:
        response = browser(getattr(house, person)).get(address)
        assert response.status_code == (200 if person in ("uploader", "reader", "admin") else 404), person
        body(response)
    assert browser(None).get(address).status_code == 302
    assert browser(house.reader).get(address.replace(kind, "passwd")).status_code == 404


def test_wrong_clinic_in_the_address_is_404(house: House, rows: dict[str, Any]) -> None:
    theirs = house.stranger.memberships.first()
    assert theirs is not None
    address = reverse("study", args=[theirs.clinic.slug, rows["study"]])
    assert browser(house.stranger).get(address).status_code == 404
    assert browser(house.reader).get(address).status_code == 404


@pytest.mark.parametrize("name", ["submission-finish", "submission-cancel", "submission-uploads"])
def test_changes_need_a_post(house: House, rows: dict[str, Any], name: str) -> None:
    address = reverse(name, args=[rows["clinic"], rows["submission"]])
    assert browser(house.uploader).get(address).status_code == 405


def test_changes_need_a_csrf_token(house: House) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(house.uploader)
    response = client.post(reverse("submissions", args=[house.clinic.slug]), {"expected_files": 1})
    assert response.status_code == 403


def test_deactivated_person_is_out_at_once(house: House) -> None:
    client = browser(house.reader)
    address = reverse("worklist", args=[house.clinic.slug])
    assert client.get(address).status_code == 200
    house.reader.is_active = False
    house.reader.save()
    assert client.get(address).status_code == 302


def test_removed_role_counts_at_once(house: House) -> None:
    client = browser(house.reader)
    Membership.objects.filter(user=house.reader).delete()
    assert client.get(reverse("worklist", args=[house.clinic.slug])).status_code == 404


def test_superuser_gives_a_reason_and_sees_for_a_while(
    house: House, rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(house.superuser)
    study, door = reverse("study", args=[rows["clinic"], rows["study"]]), f"/c/{rows['clinic']}/access/"
    assert client.get(study).status_code == 404
    assert client.get(door).status_code == 200
    assert client.post(door, {"reason": "because"}).status_code == 422
    assert client.post(door, {"reason": "Ticket 512: wrong orientation"}).status_code == 302
    response = client.get(study)
    assert response.status_code == 200
    assert response.context["content_access_until"] is not None
    assert client.get(reverse("upload", args=[rows["clinic"]])).status_code == 404  # sees, does nothing
    other = make_study()
    assert client.get(reverse("study", args=[other.clinic.slug, other.pk])).status_code == 404
    granted = AuditEvent.objects.filter(action=Action.CONTENT_ACCESS_GRANTED)
    assert {event.clinic for event in granted} == {house.clinic, None}
    assert {event.detail["reason"] for event in granted} == {"Ticket 512: wrong orientation"}
    assert AuditEvent.objects.filter(action=Action.STUDY_VIEWED, actor_label=house.superuser.email).exists()
    later = granted[0].at + access_lasts()
    monkeypatch.setattr("xrayportal.access.timezone.now", lambda: later)
    assert client.get(study).status_code == 404


def access_lasts() -> Any:
    from xrayportal.access import GRANT_LASTS

    return GRANT_LASTS + GRANT_LASTS / 100


@pytest.mark.parametrize("person", ["uploader", "reader", "admin", "stranger"])
def test_nobody_else_finds_the_superusers_door(house: House, person: str) -> None:
    assert browser(getattr(house, person)).get(f"/c/{house.clinic.slug}/access/").status_code == 404


def test_home_leads_to_the_one_clinic(house: House) -> None:
    assert browser(house.reader).get("/").url == reverse("worklist", args=[house.clinic.slug])
    Membership.objects.create(clinic=make_study().clinic, user=house.reader, role=Role.READER)
    assert browser(house.reader).get("/").status_code == 200
    page = browser(house.superuser).get("/").content.decode()
    assert f"/c/{house.clinic.slug}/access/" in page
