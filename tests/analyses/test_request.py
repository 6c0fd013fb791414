"""Requesting an analysis: once, with a snapshot of the thresholds, announced after the commit."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_submission, make_user
from tests.threads import at_once
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue import announce
from xrayportal.analyses.services import UnknownBodyPartError, cancel_analysis, request_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.studies.models import Queue

pytestmark = pytest.mark.django_db


def test_takes_queue_priority_and_bundle_and_is_audited() -> None:
    bundle = make_bundle()
    clinic = make_clinic()
    person = make_user(clinic, "uploader")
    study = make_study(submission=make_submission(clinic, person, queue=Queue.BULK), priority=3)
    row = request_analysis(study=study, actor=Actor(person, "127.0.0.1"))
    assert (row.state, row.queue, row.priority, row.bundle) == ("queued", Queue.BULK, 3, bundle)
    assert row.requested_at is not None, "the database's clock, known at once"
    event = AuditEvent.objects.get(action=Action.ANALYSIS_REQUESTED)
    assert (event.actor_label, event.study_id, event.target_id) == (person.email, study.pk, str(row.pk))


def test_an_unfinished_one_that_asks_the_same_is_returned() -> None:
    make_bundle()
    study = make_study()
    first = request_analysis(study=study)
    assert request_analysis(study=study).pk == first.pk
    assert request_analysis(study=study, forced_body_part="wrist").pk != first.pk
    assert request_analysis(study=study, purpose=Analysis.Purpose.SHADOW).pk != first.pk
    assert AuditEvent.objects.filter(action=Action.ANALYSIS_REQUESTED).count() == 3


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_retry_is_a_new_analysis_and_the_old_one_stays(state: str) -> None:
    study = make_study()
    old = make_analysis(study, state=state)
    new = request_analysis(study=study)
    assert new.pk != old.pk
    assert Analysis.objects.get(pk=old.pk).state == state


def test_the_database_refuses_a_second_unfinished_one() -> None:
    study = make_study()
    make_analysis(study, state="queued")
    with pytest.raises(IntegrityError, match="analysis_one_unfinished"), transaction.atomic():
        make_analysis(study, state="running")


@pytest.mark.django_db(transaction=True)
def test_many_askers_at_once_get_the_same() -> None:
    make_bundle()
    study = make_study()
    answers = at_once(lambda _: str(request_analysis(study=study).pk), range(8))
    assert len(set(answers)) == 1
    assert Analysis.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_asking_and_calling_off_at_once_never_deadlock() -> None:
    make_bundle()
    study = make_study()

    def either(index: int) -> str:
        row = request_analysis(study=study)
        if index % 2:
            row = cancel_analysis(analysis=row, actor=PORTAL)
        return row.state

    assert set(at_once(either, range(12))) <= {"queued", "cancelled"}
    assert Analysis.objects.filter(state="queued").count() <= 1


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ((None, None), (0.2, 0.7, False)),
        ((0.1, 0.6), (0.1, 0.6, True)),
        ((0.01, 0.6), (0.2, 0.7, False)),
        ((0.3, 0.99), (0.2, 0.7, False)),
    ],
)
def test_thresholds_are_the_clinics_within_the_bundles_limits(
    own: tuple[float | None, float | None], expected: tuple[float, float, bool]
) -> None:
    make_bundle()
    clinic = make_clinic(threshold_low=own[0], threshold_high=own[1])
    row = request_analysis(study=make_study(clinic))
    assert (row.threshold_low, row.threshold_high, row.thresholds_by_clinic) == expected


def test_a_part_that_the_sender_stated_is_forced_if_known() -> None:
    make_bundle()
    assert request_analysis(study=make_study(stated_body_part="wrist")).forced_body_part == "wrist"
    assert request_analysis(study=make_study(stated_body_part="skull")).forced_body_part == ""
    with pytest.raises(UnknownBodyPartError, match="skull"):
        request_analysis(study=make_study(), forced_body_part="skull")


def test_without_an_active_bundle_nothing_is_queued() -> None:
    with pytest.raises(NoActiveBundleError, match="bundle register"):
        request_analysis(study=make_study())
    assert not Analysis.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_requests_of_a_transaction_announce_once_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def count() -> bool:
        calls.append(Analysis.objects.count())
        return True

    monkeypatch.setattr(announce, "wake_workers", count)
    make_bundle()
    studies = [make_study() for _ in range(5)]
    with transaction.atomic():
        for study in studies:
            request_analysis(study=study)
        assert calls == []
    assert calls == [5]
