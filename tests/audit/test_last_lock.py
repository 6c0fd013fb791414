"""The audit chain's head is the last lock of a transaction: whoever waits for a row does not hold it.

Otherwise two of them wait for each other: one has the row and wants the head, the other has the head and
wants the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from tests.factories import make_analysis, make_image, make_study, make_submission
from tests.house import House
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import AuditEvent
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.services import change_roles
from xrayportal.dicom.models import Delivery, Destination
from xrayportal.dicom.services import remove
from xrayportal.intake.correction import correct_study
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.intake.services import cancel_submission, finish_submission
from xrayportal.studies.models import Study
from xrayportal.webhooks.services import add_endpoint, remove_endpoint, send_test, set_active

pytestmark = pytest.mark.django_db


@contextmanager
def watched() -> Iterator[list[str]]:
    """Statements that lock a row after an event of the same transaction; a test has it as a savepoint."""
    late: list[str] = []
    has_recorded, depth = False, 0

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal has_recorded, depth
        if sql.startswith("SAVEPOINT"):
            has_recorded, depth = has_recorded and depth > 0, depth + 1
        elif sql.startswith("RELEASE SAVEPOINT"):
            depth -= 1
        elif "INSERT INTO audit_auditevent" in sql:
            has_recorded = True
        elif has_recorded and ("FOR NO KEY UPDATE" in sql or sql.startswith(("UPDATE", "DELETE"))):
            late.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield late


@pytest.fixture
def study(house: House) -> Study:
    row = make_study(submission=make_submission(house.clinic, house.uploader))
    make_image(row)
    make_analysis(row, Analysis.State.QUEUED, forced_body_part="wrist")
    return row


@pytest.fixture
def destination(house: House, study: Study) -> Destination:
    row = Destination.objects.create(
        clinic=house.clinic, name="Archive", ae_title="A", calling_ae_title="P", host="h", port=104
    )
    analysis = make_analysis(study)
    Delivery.objects.create(clinic=house.clinic, study=study, destination=row, analysis=analysis)
    return row


def test_a_corrected_body_part(house: House, study: Study) -> None:
    with watched() as late:
        correct_study(
            study=study, actor=Actor(house.admin), patient_reference="P-1", stated_body_part="wrist"
        )
    assert late == []


def test_a_destination_that_goes(house: House, destination: Destination) -> None:
    with watched() as late:
        remove(destination, actor=Actor(house.admin))
    assert late == []
    assert AuditEvent.objects.get(action="dicom-changed").target_id == str(destination.pk)
    assert not Delivery.objects.exists()


def test_a_webhook_that_pauses_and_goes(house: House) -> None:
    endpoint, _secret = add_endpoint(
        clinic=house.clinic, actor=Actor(house.admin), url="https://r.example/", events=["study.deleted"]
    )
    send_test(endpoint=endpoint)
    with watched() as late:
        set_active(endpoint=endpoint, is_active=False, actor=Actor(house.admin))
        remove_endpoint(endpoint=endpoint, actor=Actor(house.admin))
    assert late == []


def test_members_submissions_and_studies(house: House, study: Study) -> None:
    actor = Actor(house.admin)
    with watched() as late:
        change_roles(clinic=house.clinic, actor=actor, user=house.uploader, roles=["reader"])
        finish_submission(submission=study.submission, actor=actor)
        cancel_submission(submission=study.submission, actor=actor)
        delete_study(study=study, reason=Reason.OTHER, actor=actor)
    assert late == []
