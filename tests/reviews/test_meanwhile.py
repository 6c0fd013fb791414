"""Changes while a study is open for review: people leave, roles are taken, the study is deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.clinics.services import change_roles
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.reviews import services
from xrayportal.reviews.adjudication import clinic_readers
from xrayportal.reviews.disagreements import disagreements_of, rows_of
from xrayportal.reviews.models import Consensus, Review
from xrayportal.reviews.services import ReviewRefused
from xrayportal.studies.models import Study
from xrayportal.web.reviews.panel import Panel

pytestmark = pytest.mark.django_db


def post(client: Client, study: Study, name: str = "review-sign", *, htmx: bool = True, **data: str) -> Any:
    return client.post(
        reverse(name, args=[study.clinic.slug, study.pk]),
        {"supersedes": "", "verdict": "normal", "comment": "Typed at length.", **data},
        headers={"HX-Request": "true"} if htmx else {},
    )


def signed_in(access: ClinicAccess) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


@pytest.mark.parametrize("name", ["review-save", "review-sign"])
@pytest.mark.parametrize("left", [[Role.UPLOADER], [Role.ADMIN], []])
def test_who_lost_the_role_is_told_and_keeps_what_they_typed(
    clinic: Clinic, study: Study, left: list[str], name: str
) -> None:
    reader, admin = make_access(clinic), make_access(clinic, Role.ADMIN)
    client = signed_in(reader)
    change_roles(clinic=admin.clinic, actor=admin.actor, user=reader.user, roles=left)

    answer = post(client, study, name)

    page = answer.content.decode()
    assert answer.status_code == 404
    assert "You can no longer review studies in this clinic. Nothing was saved." in page
    assert "Typed at length." in page
    # A fragment for the panel's place, not a page in it.
    assert page.strip().startswith('<section class="card review" id="review-panel"')
    assert post(client, study, name, htmx=False).status_code == 404
    assert not Review.objects.exists()


def test_a_study_deleted_while_it_is_open_gives_back_what_was_typed(clinic: Clinic, study: Study) -> None:
    client = signed_in(make_access(clinic))
    client.get(reverse("study", args=[clinic.slug, study.pk]))
    delete_study(study=study, reason=Reason.MISTAKE, actor=PORTAL)

    answer = post(client, study)

    assert answer.status_code == 404
    assert "This study was deleted while you had it open. Nothing was saved." in answer.content.decode()
    assert "Typed at length." in answer.content.decode()


def test_a_closed_account_stores_nothing_and_leaves_the_page_alone(clinic: Clinic, study: Study) -> None:
    reader = make_access(clinic)
    client = signed_in(reader)
    User.objects.filter(pk=reader.user.pk).update(is_active=False)

    answer = post(client, study)

    # The script stays on the page and says that the session has ended (tests/reviews/test_browser.py).
    assert "/sign-in/" in answer["HX-Redirect"]
    assert answer.content == b""
    assert not Review.objects.exists()


@pytest.mark.parametrize("leaving", ["role", "account"])
def test_who_was_named_and_left_holds_nobody_up(clinic: Clinic, study: Study, leaving: str) -> None:
    first, second, named, third = (make_access(clinic) for _ in range(4))
    admin = make_access(clinic, Role.ADMIN)
    say(first, study, "normal")
    say(second, study, "abnormal")
    services.name_adjudicator(access=admin, study_id=study.pk, reader=named.user)
    with pytest.raises(ReviewRefused):
        say(third, study, "normal", adjudicates=True)
    if leaving == "role":
        change_roles(clinic=admin.clinic, actor=admin.actor, user=named.user, roles=[])
    else:
        User.objects.filter(pk=named.user.pk).update(is_active=False)

    readers = list(clinic_readers(clinic))
    [row] = rows_of(third, list(disagreements_of(third)), readers)
    assert (row.may_settle, row.adjudicator) == (True, None)
    panel = Panel(third, study)
    assert (panel.adjudicates, panel.adjudicator) == (True, None)
    assert say(third, study, "normal", adjudicates=True).kind == Review.Kind.ADJUDICATION
    with pytest.raises(ReviewRefused):
        say(second, study, "normal", adjudicates=True)


def test_a_draft_ruling_does_not_overturn_one_that_was_signed(clinic: Clinic, study: Study) -> None:
    first, second, slow, quick = (make_access(clinic) for _ in range(4))
    say(first, study, "normal")
    say(second, study, "abnormal")
    say(slow, study, "normal", adjudicates=True, sign=False)
    say(quick, study, "abnormal", adjudicates=True)

    with pytest.raises(ReviewRefused, match="nothing for you to decide"):
        say(slow, study, "normal", adjudicates=True)
    study.consensus.refresh_from_db()
    assert (study.consensus.state, study.consensus.verdict) == (Consensus.State.ADJUDICATED, "abnormal")


def test_a_study_deleted_before_its_corrected_part_is_asked_for(
    clinic: Clinic, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review's transaction has ended, the new analysis' has not begun."""
    real = services.request_analysis

    def meanwhile(**arguments: Any) -> Analysis:
        delete_study(study=study, reason=Reason.MISTAKE, actor=PORTAL)
        return real(**arguments)

    monkeypatch.setattr(services, "request_analysis", meanwhile)

    with pytest.raises(services.StudyDeleted, match="deleted while you had it open"):
        say(make_access(clinic), study, "abnormal", body_part="forearm")
