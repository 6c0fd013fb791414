"""Which addresses ask again who is there: every one of the portal's is decided here, by its name."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, reverse

from tests.account.test_confirm import asks, open_browser
from tests.addresses import CLINICS, addresses, patterns
from tests.factories import make_study, make_submission
from tests.house import House, body, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Clinic, Membership, User
from xrayportal.clinics.recent_sign_in import ASKING, ASKING_ACTIONS
from xrayportal.studies.models import Study
from xrayportal.tokens.models import ApiToken

pytestmark = pytest.mark.django_db

#: Addresses that do not ask, by the reason.
NOT_ASKING = {
    "a look at one study, which the same open browser shows anyway, audited like any look": {
        *("study", "study-result", "study-history", "study-deliveries", "finding-file", "image-file"),
        *("review", "report"),
    },
    "a list or a figure on the screen, page by page": {
        *("home", "worklist", "submissions", "submission", "submission-progress", "disagreements", "history"),
        *("scorecard", "model-card", "access-report", "operations", "clinic-operations", "reading"),
    },
    "a reader's work, which would stop every quarter of an hour": {
        *("review-save", "review-sign", "review-withdraw", "adjudicator", "reading-start"),
        *("worklist-bulk-action", "saved-views", "saved-view-remove", "study-correct"),
    },
    "sending, analysing and calling off: nothing leaves, nothing that was stored goes": {
        *("upload", "submission-uploads", "submission-finish", "submission-cancel", "submission-retry"),
        *("analysis-request", "analysis-cancel", "clinic-sample"),
        *("operations-retry", "operations-verify", "clinic-operations-retry", "clinic-operations-verify"),
    },
    "only to where an admin, who was asked, has set up": {"delivery-retry"},
    "one's own account: takes the password or a code itself, or can only shut others out": {
        *("second-factor", "second-factor-open", "second-factor-begin", "second-factor-confirm"),
        *("second-factor-codes", "second-factor-remove", "second-factor-app-remove", "password"),
        *("passkey-options", "passkey-add", "passkey-remove"),
        *("own-name", "sessions", "sessions-end", "sign-out", "content-access-end"),
    },
    "the door and the question themselves, and no patient": {
        *("sign-in", "sign-in-code", "passkey-challenge", "confirm", "invitation", "language"),
    },
    "programs and probes, which are no people": {
        *("stow", "stow-study", "healthz", "readyz", "statusz", "metrics"),
    },
}


def test_every_address_is_decided() -> None:
    own = [node for node in get_resolver().url_patterns if not str(node.pattern).startswith(("admin", "api"))]
    named = {str(pattern.name) for node in own for pattern in patterns(node)}
    open_ones = [name for names in NOT_ASKING.values() for name in names]
    assert len(open_ones) == len(set(open_ones))
    assert named == ASKING | set(open_ones)
    assert not ASKING & set(open_ones)


def ask(client: Client, method: str, address: str, **extra: Any) -> HttpResponse:
    """The answer; a form has what would delete, invite, make a token or take access away."""
    form = {"reason": "wrong-patient", "deactivate": "1", "email": "new@example.org", "roles": "admin"}
    answer: HttpResponse = getattr(client, method)(address, form if method == "post" else {}, **extra)
    return answer


def test_the_list_asks_before_it_deletes(house: House) -> None:
    study = make_study(submission=make_submission(house.clinic, house.uploader))
    address = reverse("worklist-bulk-action", args=[house.clinic.slug])
    client = open_browser(house.admin)
    form = {"study": study.pk, "reason": "request"}
    assert asks(client.post(address, form | {"action": "delete"}))
    assert Study.objects.filter(pk=study.pk).exists()
    for action in ("read", "unread", "analyse", "withdraw"):
        assert not asks(client.post(address, form | {"action": action})), action
    fragment = client.post(address, form | {"action": "delete"}, headers={"hx-request": "true"})
    assert fragment.headers["HX-Redirect"].startswith(reverse("confirm"))
    assert browser(house.admin).post(address, form | {"action": "delete"}).status_code == 302
    assert not Study.objects.exists()
    assert not ASKING & ASKING_ACTIONS.keys()


def asked_of(house: House, name: str) -> User:
    return house.superuser if name == "content-access" else house.admin


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_open_browser_gives_nothing_away(house: House, rows: dict[str, Any], method: str) -> None:
    clients = {name: open_browser(asked_of(house, name)) for name in ("people", "content-access")}
    fresh = {name: browser(asked_of(house, name)) for name in clients}
    before = AuditEvent.objects.count()
    for name in sorted(ASKING):
        door = "content-access" if name == "content-access" else "people"
        address = reverse(name, kwargs={part: rows[part] for part in CLINICS[name]})
        answer = ask(clients[door], method, address)
        assert asks(answer) or answer.status_code == 405, name
        fragment = ask(clients[door], method, address, headers={"hx-request": "true"})
        assert fragment.status_code in {204, 405}, name
        if answer.status_code == 405:
            assert ask(fresh[door], method, address).status_code == 405, name
    assert AuditEvent.objects.count() == before
    assert Study.objects.filter(pk=rows["study"], state=Study.State.SEALED).exists()
    assert ApiToken.objects.count() == 1


def test_each_asks_by_some_method(house: House, rows: dict[str, Any]) -> None:
    for name in sorted(ASKING):
        client = open_browser(asked_of(house, name))
        address = reverse(name, kwargs={part: rows[part] for part in CLINICS[name]})
        assert any(asks(ask(client, method, address)) for method in ("get", "post")), name


def test_what_does_not_ask_never_does(house: House, rows: dict[str, Any]) -> None:
    client = open_browser(house.admin)
    client.raise_request_exception = False  # the rows' files are not stored
    for name in sorted(set(CLINICS) - ASKING):
        address = reverse(name, kwargs={part: rows[part] for part in CLINICS[name]})
        answer = client.get(address)
        body(answer)  # which closes it
        assert not asks(answer), name


@pytest.mark.parametrize("method", ["get", "post"])
def test_strangers_are_not_asked(house: House, rows: dict[str, Any], method: str) -> None:
    clients = [open_browser(house.stranger), open_browser(house.superuser)]
    for name in sorted(ASKING):
        address = reverse(name, kwargs={part: rows[part] for part in CLINICS[name]})
        for client in clients[:1] if name == "content-access" else clients:
            assert ask(client, method, address).status_code in {404, 405}, name


def test_the_admin_site_asks_everywhere(house: House) -> None:
    root = open_browser(house.superuser)
    found = [
        address
        for address, _needs in addresses()
        if address.startswith("/admin/")
        and not address.startswith(("/admin/login/", "/admin/password_change/", "/admin/logout/"))
    ]
    assert len(found) > 60
    for address in found:
        is_open = address.startswith("/admin/jsi18n/")
        for method in ("get", "post"):
            assert asks(getattr(root, method)(address)) is not is_open, (method, address)
    change = reverse("admin:clinics_clinic_change", args=[house.clinic.pk])
    assert not asks(browser(house.superuser).get(change))
    form = {"name": "Taken over", "slug": house.clinic.slug, "time_zone": "UTC"}
    assert asks(root.post(change, form))
    delete = reverse("admin:clinics_membership_delete", args=[Membership.objects.all()[0].pk])
    assert asks(root.post(delete, {"post": "yes"}))
    assert Clinic.objects.get(pk=house.clinic.pk).name == house.clinic.name
    assert not AuditEvent.objects.exclude(action=Action.SIGNED_IN).exists()
    # Who is not staff is not asked, but sent where they always are.
    assert open_browser(house.admin).get(change).headers["Location"].startswith("/admin/login/")
