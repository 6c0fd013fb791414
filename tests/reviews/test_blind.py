"""Blind first: who may know a prediction, and which opinions are blind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_clinic, make_study
from tests.opinions import make_access, say
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Role
from xrayportal.reviews import blind
from xrayportal.reviews.models import Consensus
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("blind_first", "roles", "revealed"),
    [
        (False, [Role.READER], True),
        (True, [Role.READER], False),
        (True, [Role.READER, Role.ADMIN], False),
        (True, [Role.READER, Role.UPLOADER], False),
        (True, [Role.ADMIN], True),
        (True, [Role.UPLOADER], True),
    ],
)
def test_predictions_are_kept_from_readers_only(blind_first: bool, roles: list[str], revealed: bool) -> None:
    clinic = make_clinic(blind_first=blind_first)
    study = make_study(clinic)
    make_analysis(study)
    access = make_access(clinic, *roles)
    studies = Study.objects.filter(clinic=clinic)

    assert blind.reveals(access, study) is revealed
    assert blind.visible_predictions(access, studies).exists() is revealed
    assert blind.with_revealed(access, studies).get().revealed is revealed


def test_the_own_stored_opinion_reveals_that_study_and_no_other() -> None:
    clinic = make_clinic(blind_first=True)
    mine, other = make_study(clinic), make_study(clinic)
    for study in (mine, other):
        make_analysis(study)
    access, colleague = make_access(clinic), make_access(clinic)
    say(colleague, other)
    review = say(access, mine, "normal", sign=False)

    assert review.was_blind
    assert review.analysis is None
    assert blind.reveals(access, mine)
    assert not blind.reveals(access, other)
    revealed = dict(blind.with_revealed(access, Study.objects.all()).values_list("pk", "revealed"))
    assert revealed == {mine.pk: True, other.pk: False}


def test_both_opinions_and_the_change_of_mind_are_kept() -> None:
    clinic = make_clinic(blind_first=True)
    study = make_study(clinic)
    analysis = make_analysis(study, verdict="abnormal")
    access = make_access(clinic)

    before = say(access, study, "normal", sign=False)
    after = say(access, study, "abnormal")

    assert (before.was_blind, before.verdict) == (True, "normal")
    assert (after.was_blind, after.analysis, after.supersedes) == (False, analysis, before)
    consensus = Consensus.objects.get(study=study)
    assert (consensus.verdict, consensus.blind_verdict, consensus.changes) == ("abnormal", "normal", 1)


def test_a_blind_opinion_signed_unchanged_stays_blind() -> None:
    clinic = make_clinic(blind_first=True)
    study = make_study(clinic)
    make_analysis(study)
    access = make_access(clinic)

    say(access, study, "normal", sign=False)

    assert say(access, study, "normal").was_blind
    assert Consensus.objects.get(study=study).changes == 0


def test_in_an_open_clinic_an_opinion_is_blind_only_before_there_is_a_result() -> None:
    clinic = make_clinic()
    early, late = make_study(clinic), make_study(clinic)
    analysis = make_analysis(late)
    access = make_access(clinic)

    assert say(access, early).was_blind
    review = say(access, late)
    assert (review.was_blind, review.analysis) == (False, analysis)


def test_who_saw_the_result_before_is_not_blind() -> None:
    clinic = make_clinic(blind_first=True)
    study = make_study(clinic)
    make_analysis(study)
    access, other = make_access(clinic), make_access(clinic)
    record(
        clinic=clinic, action=Action.STUDY_VIEWED, actor=access.actor, study=study, detail={"revealed": True}
    )
    record(
        clinic=clinic,
        action=Action.STUDY_VIEWED,
        actor=Actor(other.user),
        study=study,
        detail={"revealed": False},
    )

    assert not say(access, study).was_blind
    assert say(other, study).was_blind


def test_results_from_before_blind_reading_began_are_not_blind() -> None:
    clinic = make_clinic(blind_first=True)
    old, new = make_study(clinic), make_study(clinic)
    make_analysis(old, finished_at=timezone.now() - timedelta(days=1))
    record(clinic=clinic, action=Action.CLINIC_CHANGED, target=clinic, detail={"blind_first": True})
    make_analysis(new)
    access = make_access(clinic)

    assert not say(access, old).was_blind
    assert say(access, new).was_blind


def test_a_colleagues_corrected_part_leaves_no_trace_in_the_history() -> None:
    """It is analysed again only where the predicted part was another."""
    clinic = make_clinic(blind_first=True)
    study = make_study(clinic)
    make_analysis(study, body_part="wrist")
    access, colleague = make_access(clinic), make_access(clinic, email="colleague@example.org")
    client = Client()
    client.force_login(access.user)
    address = reverse("study-history", args=[clinic.slug, study.pk])
    say(colleague, study, "abnormal", body_part="hand")
    again = Analysis.objects.get(forced_body_part="hand")

    page = client.get(address).content.decode()
    assert f"analysis-{again.pk}" not in page
    assert "colleague@example.org</strong> requested an analysis" not in page
    assert page.count("colleague@example.org") == 1  # signed a review

    say(access, study, "normal")
    page = client.get(address).content.decode()
    assert f"analysis-{again.pk}" in page
    assert "colleague@example.org</strong> requested an analysis" in page
