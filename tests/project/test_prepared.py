"""Queries that are made once ask what the ORM would ask, and nothing of anybody else."""

from __future__ import annotations

import uuid

import pytest

from tests.counting import counted
from tests.factories import make_study
from xrayportal.prepared import Prepared
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db

STUDY = Prepared(
    lambda study, reference: Study.objects.filter(pk=study, patient_reference=reference, part=1).values_list(
        "patient_reference", "pk"
    ),
    study=uuid.uuid4(),
    reference="an example",
)


def test_only_the_parameters_change() -> None:
    first, second = (make_study(patient_reference=f"100 % {number}") for number in range(2))
    for study in (first, second, first):
        with counted() as queries:
            assert STUDY.rows(study=study.pk, reference=study.patient_reference) == [
                (study.patient_reference, study.pk)
            ]
        assert len(queries) == 1
    assert STUDY.rows(study=first.pk, reference=second.patient_reference) == []
    assert STUDY.rows(study=first.pk, reference="' OR true --") == []
    with pytest.raises(KeyError):
        STUDY.rows(study=first.pk)


def test_an_example_that_the_query_does_not_hold_is_a_mistake() -> None:
    as_text = Prepared(
        lambda study: Study.objects.filter(pk=study).values_list("pk"), study=str(uuid.uuid4())
    )
    with pytest.raises(ValueError, match="study"):
        as_text.rows(study=uuid.uuid4())
    unused = Prepared(lambda who: Study.objects.values_list("pk"), who=-1, unused={"who"})
    assert unused.rows(who=7) == []
