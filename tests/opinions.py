"""People who may, and what they say of studies: accesses, reviews, and the study that they are about.

A module with other needs has fixtures of its own.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.factories import make_analysis, make_clinic, make_study, make_user
from xrayportal.access import ClinicAccess, access_of
from xrayportal.clinics.models import Clinic, Membership, Role
from xrayportal.reviews import services
from xrayportal.reviews.entries import Entry
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study


def make_access(clinic: Clinic, *roles: str, **fields: Any) -> ClinicAccess:
    """A new person with these roles (a reader unless told otherwise)."""
    user = make_user(clinic, *(roles or (Role.READER,)), **fields)
    return access_of(user, Membership.objects.filter(user=user).select_related("clinic"))


def say(
    access: ClinicAccess,
    study: Study,
    verdict: str = "normal",
    *,
    sign: bool = True,
    adjudicates: bool = False,
    supersedes: uuid.UUID | None = None,
    **fields: Any,
) -> Review:
    """The person's opinion, stored as the page would; it supersedes their current one."""
    own = (
        Review.objects.filter(study=study, reader=access.user, is_current=True)
        .filter(
            kind__in=[Review.Kind.ADJUDICATION] if adjudicates else [Review.Kind.FIRST, Review.Kind.SECOND]
        )
        .first()
    )
    return services.store_review(
        access=access,
        study_id=study.pk,
        entry=Entry(verdict, **fields),
        supersedes=supersedes or (own.pk if own else None),
        sign=sign,
        adjudicates=adjudicates,
    ).review


@pytest.fixture
def clinic(db: None) -> Clinic:
    """Without blind reading."""
    return make_clinic()


@pytest.fixture
def admin(clinic: Clinic) -> ClinicAccess:
    """Who looks after it, and reads nothing."""
    return make_access(clinic, Role.ADMIN)


@pytest.fixture
def study(clinic: Clinic) -> Study:
    """One view, analysed."""
    study = make_study(clinic)
    make_analysis(study)
    return study
