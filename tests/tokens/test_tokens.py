"""API tokens: what they may do, who makes them, what is kept and shown of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_study, make_submission, png
from tests.house import House, browser
from xrayportal.access import ClinicAccess, Permission, TokenRefused, token_access
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Membership, Role, User
from xrayportal.reviews.blind import reads_blind
from xrayportal.security import NoFilesHandler
from xrayportal.tokens.models import ApiToken, Scope
from xrayportal.tokens.services import create_token, revoke_token

pytestmark = pytest.mark.django_db
READ = (Scope.STUDIES_READ, Permission.SEE_OWN)


def made(house: House, role: str, *scopes: str, by: User | None = None) -> tuple[ApiToken, str]:
    """A token of the clinic's admin."""
    return create_token(
        clinic=house.clinic,
        actor=Actor(by or house.admin, "192.0.2.1"),
        name="PACS bridge",
        role=role,
        scopes=scopes or [Scope.STUDIES_READ, Scope.SUBMISSIONS_WRITE],
        days=30,
    )


def used(secret: str, scope: Scope = READ[0], permission: Permission = READ[1]) -> ClinicAccess:
    """The access of a request with this secret."""
    request = RequestFactory().get("/", headers={"authorization": f"Bearer {secret}"})
    return token_access(request, scope, permission)


def refusal(secret: str, scope: Scope = READ[0], permission: Permission = READ[1]) -> int:
    """The status by which a request with this secret is refused."""
    with pytest.raises(TokenRefused) as refused:
        used(secret, scope, permission)
    assert str(refused.value)
    return refused.value.status


def test_a_service_reaches_what_its_role_reaches(house: House) -> None:
    token, secret = made(house, Role.UPLOADER)
    mine = make_study(submission=make_submission(house.clinic, token.account))
    theirs = make_study(submission=make_submission(house.clinic, house.uploader))
    make_study()  # of another clinic
    assert list(used(secret).studies()) == [mine]
    _token, of_reader = made(house, Role.READER)
    assert set(used(of_reader).studies()) == {mine, theirs}
    assert not used(secret).may(Permission.MANAGE)


@pytest.mark.parametrize(
    "secret", ["", "xrp_", "xrp_unknown", "another", "xrp_" + "\N{LATIN SMALL LETTER E WITH ACUTE}"]
)
def test_an_unknown_secret_is_refused(house: House, secret: str) -> None:
    made(house, Role.UPLOADER)
    assert refusal(secret) == 401


def test_another_scheme_is_refused(house: House) -> None:
    _token, secret = made(house, Role.UPLOADER)
    for header in (secret, f"Basic {secret}", "Bearer"):
        request = RequestFactory().get("/", headers={"authorization": header})
        with pytest.raises(TokenRefused):
            token_access(request, *READ)


def test_scope_and_role_must_both_allow(house: House) -> None:
    _token, secret = made(house, Role.UPLOADER, Scope.STUDIES_READ, Scope.AUDIT_READ)
    assert refusal(secret, Scope.SUBMISSIONS_WRITE, Permission.SUBMIT) == 403  # the scope
    assert refusal(secret, Scope.AUDIT_READ, Permission.MANAGE) == 403  # the role
    assert used(secret).may(Permission.SUBMIT)


def test_it_ends_by_revocation_and_by_time(house: House) -> None:
    token, secret = made(house, Role.UPLOADER)
    revoke_token(token=token, actor=Actor(house.admin))
    assert refusal(secret) == 401
    late, other = made(house, Role.UPLOADER)
    ApiToken.objects.filter(pk=late.pk).update(expires_at=timezone.now())
    assert refusal(other) == 401
    actions = AuditEvent.objects.filter(clinic=house.clinic, target_kind="apitoken").order_by("id")
    assert [event.action for event in actions] == [
        Action.TOKEN_CREATED,
        Action.TOKEN_REVOKED,
        Action.TOKEN_CREATED,
    ]
    revoke_token(token=token, actor=Actor(house.admin))
    assert actions.count() == 3


def test_a_person_takes_their_roles_along(house: House) -> None:
    Membership.objects.create(clinic=house.clinic, user=house.admin, role=Role.READER)
    _token, secret = made(house, "", Scope.STUDIES_READ, Scope.REVIEWS_WRITE)
    assert used(secret).user == house.admin
    assert used(secret, Scope.REVIEWS_WRITE, Permission.REVIEW).actor.label.startswith(house.admin.email)
    Membership.objects.filter(user=house.admin, role=Role.READER).delete()
    assert refusal(secret, Scope.REVIEWS_WRITE, Permission.REVIEW) == 403
    Membership.objects.filter(user=house.admin).delete()
    assert refusal(secret) == 401


def test_a_closed_account_takes_its_token_along(house: House) -> None:
    _token, secret = made(house, "")
    house.admin.is_active = False
    house.admin.save()
    assert refusal(secret) == 401


def test_a_scope_never_takes_blind_reading_away(house: House) -> None:
    Membership.objects.create(clinic=house.clinic, user=house.admin, role=Role.READER)
    house.clinic.blind_first = True
    house.clinic.save()
    _token, secret = made(house, "", Scope.STUDIES_READ)
    assert reads_blind(used(secret))


def test_a_service_has_no_opinion(house: House) -> None:
    with pytest.raises(ValueError, match="opinion"):
        made(house, Role.READER, Scope.REVIEWS_WRITE)


def test_a_service_cannot_sign_in(house: House) -> None:
    token, _secret = made(house, Role.ADMIN)
    assert not token.account.is_active
    assert not token.account.has_usable_password()
    assert not Membership.objects.filter(user=token.account).exists()
    assert b"PACS bridge" not in browser(house.admin).get(reverse("people", args=[house.clinic.slug])).content


def test_only_the_hash_is_kept(house: House) -> None:
    token, secret = made(house, Role.UPLOADER)
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert not any(secret in str(value) for value in row.values())
    assert len(secret) > 40
    assert not any(secret in str(event.detail) for event in AuditEvent.objects.all())


def test_use_is_noted_once_a_minute(house: House) -> None:
    token, secret = made(house, Role.UPLOADER)
    used(secret)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    assert token.last_address == "127.0.0.1"
    used(secret)
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=first - timedelta(minutes=2))
    used(secret)
    token.refresh_from_db()
    assert token.last_used_at > first - timedelta(minutes=1)


def test_files_are_taken_from_a_known_sender_only(house: House) -> None:
    _token, secret = made(house, Role.UPLOADER)
    for header, is_taken in ((f"Bearer {secret}", True), ("Bearer xrp_wrong", False)):
        request = RequestFactory().post(
            "/", {"file": SimpleUploadedFile("a.png", png())}, headers={"authorization": header}
        )
        request.upload_handlers = [NoFilesHandler(request)]  # as the middleware leaves it
        try:
            token_access(request, Scope.SUBMISSIONS_WRITE, Permission.SUBMIT)
        except TokenRefused:
            assert not is_taken
        assert bool(request.FILES) == is_taken


# --- the page ---


def form(**fields: Any) -> dict[str, Any]:
    """What the admin enters."""
    return {"name": "PACS bridge", "acts_as": "uploader", "scopes": ["studies:read"], "days": 30, **fields}


def test_the_admin_makes_one_and_sees_its_secret_once(house: House) -> None:
    client, address = browser(house.admin), reverse("tokens", args=[house.clinic.slug])
    response = client.post(address, form())
    assert response.status_code == 201
    assert "no-store" in response.headers["Cache-Control"]
    found = re.search(r'<code class="secret">(xrp_[\w-]+)</code>', response.content.decode())
    assert found is not None
    assert used(found[1]).roles == {"uploader"}
    page = client.get(address).content.decode()
    assert found[1] not in page
    assert found[1][:8] in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"acts_as": "superuser"},
        {"days": 0},
        {"days": 100_000},
        {"scopes": ["reviews:write"]},
    ],
)
def test_a_wrong_form_makes_none(house: House, wrong: dict[str, Any]) -> None:
    response = browser(house.admin).post(reverse("tokens", args=[house.clinic.slug]), form(**wrong))
    assert response.status_code == 422
    assert not ApiToken.objects.exists()


def test_the_admin_revokes_those_of_the_clinic_only(house: House) -> None:
    token, secret = made(house, Role.UPLOADER)
    address = reverse("token-revoke", args=[house.clinic.slug, token.pk])
    other = house.stranger.memberships.first()
    assert other is not None
    foreign = reverse("token-revoke", args=[other.clinic.slug, token.pk])
    assert browser(house.stranger).post(foreign).status_code == 404
    assert browser(house.reader).post(address).status_code == 404
    assert used(secret)
    assert browser(house.admin).post(address).status_code == 302
    assert refusal(secret) == 401


def test_the_longest_life_is_a_setting(house: House, settings: Any) -> None:
    settings.API_TOKEN_MAX_DAYS = 45
    address = reverse("tokens", args=[house.clinic.slug])
    assert browser(house.admin).post(address, form(days=90)).status_code == 422
    assert browser(house.admin).post(address, form(days=30)).status_code == 201
