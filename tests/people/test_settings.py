"""The clinic's settings: saved, audited, and thresholds within the bundle's limits."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests.factories import make_bundle
from tests.people.admins import client_of, send
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Bundle
from xrayportal.analyses.services import thresholds_for
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Clinic

pytestmark = pytest.mark.django_db


def settings(**changes: Any) -> dict[str, Any]:
    return {"name": "Clinic", "time_zone": "Europe/Berlin", **changes}


def test_settings_are_saved_and_audited(clinic: Clinic, admin: ClinicAccess) -> None:
    bundle = make_bundle()

    answer = send(
        admin,
        "clinic-settings",
        **settings(blind_first="on", threshold_low="0.3", threshold_high="0.8", retention_days="365"),
    )

    assert answer.status_code == 302
    clinic.refresh_from_db()
    assert (clinic.blind_first, clinic.retention_days, clinic.time_zone) == (True, 365, "Europe/Berlin")
    assert thresholds_for(clinic, bundle) == (0.3, 0.8, True)
    event = AuditEvent.objects.get(clinic=clinic, action=Action.CLINIC_CHANGED)
    assert event.detail == {
        "name": "Clinic",
        "time_zone": "Europe/Berlin",
        "blind_first": True,
        "threshold_low": 0.3,
        "threshold_high": 0.8,
        "retention_days": 365,
    }
    send(
        admin,
        "clinic-settings",
        **settings(blind_first="on", threshold_low="0.3", threshold_high="0.8", retention_days="365"),
    )
    assert AuditEvent.objects.filter(clinic=clinic, action=Action.CLINIC_CHANGED).count() == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threshold_low": "0.01", "threshold_high": "0.7"}, "allows 0.05 to 0.4"),
        ({"threshold_low": "0.2", "threshold_high": "0.99"}, "allows 0.5 to 0.95"),
        ({"threshold_low": "0.2"}, "both thresholds"),
        ({"threshold_high": "0.7"}, "both thresholds"),
        ({"threshold_low": "nan", "threshold_high": "0.7"}, "Enter a number"),
        ({"retention_days": "0"}, "at least 1 day"),
        ({"time_zone": "Mars/Olympus"}, "not a known time zone"),
        ({"time_zone": "localtime"}, "not a known time zone"),
        ({"time_zone": "York"}, "not a known time zone"),
        ({"name": ""}, "required"),
    ],
)
def test_settings_out_of_bounds_are_sentences(
    clinic: Clinic, admin: ClinicAccess, changes: dict[str, str], sentence: str
) -> None:
    make_bundle()

    answer = send(admin, "clinic-settings", **settings(**changes))

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    before = clinic.name
    clinic.refresh_from_db()
    assert clinic.name == before
    assert AuditEvent.objects.filter(clinic=clinic).count() == 0


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        (" oslo ", "Europe/Oslo"),
        ("new york", "America/New_York"),
        ("europe/berlin", "Europe/Berlin"),
        ("utc", "UTC"),
    ],
)
def test_a_city_finds_its_time_zone(clinic: Clinic, admin: ClinicAccess, text: str, zone: str) -> None:
    make_bundle()
    page = client_of(admin).get(reverse("clinic-settings", args=[clinic.slug])).content.decode()
    assert 'list="zones"' in page
    assert 'aria-describedby="id_time_zone_hint"' in page
    assert f'<option value="{zone}">' in page
    assert send(admin, "clinic-settings", **settings(time_zone=text)).status_code == 302
    clinic.refresh_from_db()
    assert clinic.time_zone == zone


def test_without_a_bundle_there_are_no_thresholds(clinic: Clinic, admin: ClinicAccess) -> None:
    Bundle.objects.update(is_active=False)
    page = client_of(admin).get(reverse("clinic-settings", args=[clinic.slug])).content.decode()
    assert "No model version is active" in page

    send(admin, "clinic-settings", **settings(threshold_low="0.3", threshold_high="0.8"))
    clinic.refresh_from_db()
    assert (clinic.threshold_low, clinic.name) == (None, "Clinic")
