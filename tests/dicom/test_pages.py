"""The page of a clinic's DICOM settings, and the study page's part about deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from pydicom.uid import generate_uid

from tests.dicom.worlds import returned_study
from tests.factories import make_analysis, make_study
from tests.house import House, browser
from xrayportal.analyses.models import Heartbeat
from xrayportal.audit.models import AuditEvent
from xrayportal.dicom.models import (
    Caller,
    Delivery,
    Destination,
    Listener,
    OriginalIdentifiers,
    ReturnSettings,
    StudyReturn,
)
from xrayportal.studies.models import Study, Submission
from xrayportal.web.dicom import views

pytestmark = pytest.mark.django_db
C_STORE = {
    "destination-name": "Archive",
    "destination-protocol": "c-store",
    "destination-ae_title": "ORTHANC",
    "destination-calling_ae_title": "PORTAL",
    "destination-host": "10.1.2.3",
    "destination-port": "104",
}
STOW = {
    "destination-name": "Web archive",
    "destination-protocol": "stow",
    "destination-url": "https://10.1.2.4/dicom-web/studies",
    "destination-authorization": "Bearer abc-def",
}
RETURNS = {"returns-when": "final", "returns-structured_report": "on", "returns-keep_days": "10"}


@pytest.fixture(autouse=True)
def networks(settings: Any) -> None:
    settings.DICOM_DESTINATION_NETWORKS = ["10.1.0.0/16"]
    settings.DICOM_PORT = 11112


def post(house: House, values: dict[str, str], kind: str = "") -> Any:
    slug = house.clinic.slug
    address = reverse("dicom-add", args=[slug, kind]) if kind else reverse("dicom-settings", args=[slug])
    return browser(house.admin).post(address, values)


def page(house: House) -> str:
    return browser(house.admin).get(reverse("dicom-settings", args=[house.clinic.slug])).content.decode()


def test_an_admin_adds_and_removes(house: House) -> None:
    assert post(house, {"listener-ae_title": "PORTAL"}, "listeners").status_code == 302
    caller = {"caller-ae_title": "PACS", "caller-network": "10.1.2.0/24", "caller-queue": "interactive"}
    assert post(house, caller, "callers").status_code == 302
    assert post(house, C_STORE, "destinations").status_code == 302
    assert post(house, STOW, "destinations").status_code == 302
    shown = page(house)
    for text in ("PORTAL", "10.1.2.0/24", "10.1.2.3:104", "https://10.1.2.4/dicom-web/studies"):
        assert text in shown
    assert "abc-def" not in shown
    assert b"abc-def" not in bytes(Destination.objects.get(protocol="stow").credentials)
    for model, kind in ((Listener, "listeners"), (Caller, "callers"), (Destination, "destinations")):
        for row in model.objects.all():  # type: ignore[attr-defined]
            address = reverse("dicom-remove", args=[house.clinic.slug, kind, row.pk])
            assert browser(house.admin).post(address).status_code == 302
        assert not model.objects.exists()  # type: ignore[attr-defined]
    details = [event.detail for event in AuditEvent.objects.filter(action="dicom-changed")]
    assert len(details) == 8
    assert "abc-def" not in str(details)


@pytest.mark.parametrize(
    ("kind", "values", "sentence"),
    [
        ("listeners", {"listener-ae_title": "SEVENTEEN LETTERS"}, "16"),
        ("listeners", {"listener-ae_title": "TAKEN"}, "This AE title is taken."),
        ("listeners", {"listener-ae_title": "BACK\\SLASH"}, "no backslash"),
        ("callers", {"caller-ae_title": "A", "caller-network": "10.1.2.3/8"}, "Enter an address such as"),
        ("destinations", C_STORE | {"destination-port": ""}, "This is needed."),
        ("destinations", C_STORE | {"destination-host": "192.168.1.1"}, "does not allow results to go to"),
        ("destinations", C_STORE | {"destination-host": "169.254.169.254"}, "does not allow"),
        (
            "destinations",
            C_STORE | {"destination-host": "no.such.host.invalid"},
            "This host name is unknown.",
        ),
        ("destinations", C_STORE | {"destination-host": "a..b"}, "This host name is unknown."),
        ("destinations", STOW | {"destination-url": f"https://{'a' * 64}.b/"}, "This host name is unknown."),
        ("destinations", STOW | {"destination-url": "ftp://10.1.2.3/"}, "Enter an address such as"),
        ("destinations", STOW | {"destination-url": "https://me:pw@10.1.2.3/"}, "without a user name"),
        ("destinations", STOW | {"destination-authorization": "a\x7fb"}, "Enter one line"),
        ("", RETURNS | {"returns-keep_days": "0"}, "Enter 1 to 365 days."),
        ("", {"returns-when": "final", "returns-keep_days": "3"}, "Choose at least one kind of object."),
    ],
)
def test_wrong_input_gets_a_sentence(house: House, kind: str, values: dict[str, str], sentence: str) -> None:
    Listener.objects.create(clinic=house.stranger.memberships.all()[0].clinic, ae_title="TAKEN")
    answer = post(house, values, kind)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not Destination.objects.exists()
    assert not ReturnSettings.objects.exists()


def test_the_same_twice_at_once_is_said_by_the_form(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    add = views.services.add

    def second(row: Any, **fields: Any) -> None:
        add(type(row)(clinic=row.clinic, ae_title=row.ae_title), **fields)
        with transaction.atomic():
            add(row, **fields)

    monkeypatch.setattr(views.services, "add", second)
    answer = post(house, {"listener-ae_title": "PORTAL"}, "listeners")
    assert answer.status_code == 422
    assert "This AE title is taken." in answer.content.decode()
    assert Listener.objects.count() == 1


def test_never_erases_the_identifiers_and_withdraws_what_waits(house: House) -> None:
    assert post(house, RETURNS).status_code == 302
    delivery = a_delivery(house)
    image = delivery.study.images.get()
    expires_at = timezone.now() + timedelta(days=1)
    OriginalIdentifiers.objects.create(image=image, clinic=house.clinic, content=b"x", expires_at=expires_at)
    StudyReturn.objects.create(study=delivery.study, clinic=house.clinic, expires_at=expires_at)
    assert post(house, RETURNS | {"returns-when": "never"}).status_code == 302
    assert not OriginalIdentifiers.objects.exists()
    assert not StudyReturn.objects.exists()
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.WITHDRAWN
    assert AuditEvent.objects.filter(action="dicom-changed").order_by("id").last().detail["erased"] == 1


def test_the_page_tells_whether_the_node_runs(house: House, settings: Any) -> None:
    assert "does not run at the moment" in page(house)
    operations = reverse("clinic-operations", args=[house.clinic.slug])
    assert "DICOM node" in browser(house.admin).get(operations).content.decode()
    Heartbeat.objects.create(name=Heartbeat.DICOM_NODE)
    assert "Port 11112." in page(house)
    settings.DICOM_PORT = 0
    assert "has no DICOM node yet" in page(house)


def test_the_submissions_page_names_the_sender(house: House) -> None:
    Submission.objects.create(clinic=house.clinic, source="dicom", sender="PACS7")
    shown = browser(house.admin).get(reverse("submissions", args=[house.clinic.slug])).content.decode()
    assert "PACS7" in shown


def a_delivery(house: House, **fields: Any) -> Delivery:
    study = make_study(house.clinic)
    destination, _new = Destination.objects.get_or_create(
        clinic=house.clinic,
        name="Archive",
        defaults={"protocol": "stow", "url": "http://10.1.2.3/"},
    )
    return Delivery.objects.create(
        clinic=house.clinic,
        study=study,
        destination=destination,
        analysis=make_analysis(study),
        **fields,
    )


def study_page(house: House, study: Study, who: Any = None) -> str:
    address = reverse("study", args=[house.clinic.slug, study.pk])
    return browser(who or house.reader).get(address).content.decode()


def test_the_study_page_tells_of_a_failure_and_sends_again(house: House) -> None:
    delivery = a_delivery(
        house,
        state="failed",
        error_kind="refused",
        error_code="0xA700",
        attempts=9,
        finished_at=timezone.now(),
    )
    shown = study_page(house, delivery.study)
    assert "The archive refused an object. (0xA700)" in shown
    assert 'hx-trigger="result-changed' in shown
    address = reverse("delivery-retry", args=[house.clinic.slug, delivery.pk])
    assert browser(house.uploader).post(address).status_code == 404
    assert browser(house.reader).post(address).status_code == 302
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (Delivery.State.WAITING, 0)
    assert "every 5s" in study_page(house, delivery.study)
    assert AuditEvent.objects.filter(action="result-retried", actor_label=house.reader.email).exists()


def test_the_study_page_tells_what_it_waits_for(house: House) -> None:
    study = a_delivery(house).study
    Delivery.objects.all().delete()
    assert "Sent to archives</h2>" not in study_page(house, study)
    StudyReturn.objects.create(
        study=study, clinic=house.clinic, expires_at=timezone.now() + timedelta(days=1)
    )
    assert "sent back when it is final" in study_page(house, study)
    ReturnSettings.objects.create(clinic=house.clinic, when=ReturnSettings.When.SIGNED)
    assert "when readers have signed and agree" in study_page(house, study)


def test_uploaders_see_nothing_of_archives(house: House) -> None:
    study = a_delivery(house).study
    Study.objects.filter(pk=study.pk).update(submission=study.submission)
    study.submission.submitter = house.uploader
    study.submission.save()
    assert "Archive" not in study_page(house, study, house.uploader)


def test_no_page_or_file_shows_an_identifier(house: House) -> None:
    """What the archive files by goes to the archive alone."""
    ReturnSettings.objects.create(clinic=house.clinic, when=ReturnSettings.When.FINAL)
    uid = generate_uid()
    study = returned_study(house.clinic, study_uid=uid)
    image, submission = study.images.get(), study.submission
    slug = house.clinic.slug
    person = browser(house.admin)
    answers = [
        person.get(reverse(name, args=[slug, *arguments]))
        for name, arguments in (
            ("study", [study.pk]),
            ("study-result", [study.pk]),
            ("study-history", [study.pk]),
            ("study-deliveries", [study.pk]),
            ("report", [study.pk]),
            ("image-file", [image.pk]),
            ("submission", [submission.pk]),
            ("worklist", []),
            ("history", []),
        )
    ]
    answers.append(person.post(reverse("history-export", args=[slug])))
    answers.append(person.post(reverse("submission-results", args=[slug, submission.pk])))
    answers.append(person.post(reverse("submission-pictures", args=[slug, submission.pk])))
    for answer in answers:
        assert answer.status_code == 200
        content = answer.getvalue()
        for secret in (uid, "Mustermann", "PID-4711", "ACC-90210", "19640812", "Quacksalber"):
            assert secret.encode() not in content, answer.request["PATH_INFO"]
