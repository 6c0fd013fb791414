"""The API answers as its document says, to whatever is sent: schemathesis, in a short form.

``make contract`` is the long one (`tests/api/contract.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, openapi
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.api.conftest import Program, program
from tests.factories import make_analysis, make_study, make_submission
from tests.house import House
from xrayportal.clinics.models import Membership, Role
from xrayportal.wsgi import application

pytestmark = pytest.mark.django_db

EXAMPLES = 8


def closing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The portal, whose answers are read to their end and closed, as servers do and this client does not."""
    answer: Any = application(environ, start_response)
    try:
        return [b"".join(answer)]
    finally:
        answer.close()


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """A request that ends closes the connection that the test's transaction is open on; not here."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def caller(house: House) -> Program:
    """A person with every role and a token with every scope, so that nothing ends at the door."""
    for role in (Role.UPLOADER, Role.ADMIN):
        Membership.objects.create(clinic=house.clinic, user=house.reader, role=role)
    return program(house.clinic, house.reader, "")


@pytest.fixture
def rows(house: House) -> dict[str, str]:
    """Rows that addresses can name: half of the requests are about these."""
    study = make_study(submission=make_submission(house.clinic, house.reader))
    analysis = make_analysis(study)
    finding = analysis.findings.get()
    ids = {
        "submission": study.submission_id,
        "study": study.pk,
        "analysis": analysis.pk,
        "finding": finding.pk,
        "image": finding.image_id,
    }
    return {name: str(pk) for name, pk in ids.items()}


@pytest.mark.parametrize("start", [1, 2])
def test_answers_are_as_documented(
    caller: Program, rows: dict[str, str], start: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    schema = openapi.from_wsgi("/api/v1/openapi.json", closing)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(start)
        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=st.one_of(
                operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
                operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
            ),
            is_known=st.booleans(),
        )
        def try_it(case: Case, is_known: bool) -> None:
            nonlocal tried
            if is_known and case.meta is not None and case.meta.generation.mode.is_positive:
                for name in case.path_parameters:
                    case.path_parameters[name] = rows.get(name, case.path_parameters[name])
            # This transport sends a file without its name, which makes it an ordinary field.
            unfair = [positive_data_acceptance] if case.path.endswith("/uploads") else []
            answer: Any = case.call_and_validate(
                headers={"Authorization": f"Bearer {caller.secret}"}, excluded_checks=unfair
            )
            assert answer.status_code < 500
            tried += 1

        try_it()
    assert tried > 100
