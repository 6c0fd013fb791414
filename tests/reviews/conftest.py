"""A clinic, its admin and a study with a result; a module with other needs has its own."""

from __future__ import annotations

import pytest

from tests.factories import make_analysis, make_clinic, make_study
from tests.reviews.people import make_access
from xrayportal.access import ClinicAccess
from xrayportal.clinics.models import Clinic, Role
from xrayportal.studies.models import Study


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
