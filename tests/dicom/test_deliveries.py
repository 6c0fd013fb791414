"""When a result is sent back, to whom, and what happens when that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pydicom.uid import generate_uid

from tests.dicom.worlds import received, returned_study
from tests.factories import dicom, make_analysis, make_user
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import AuditEvent
from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.models import Clinic, Role
from xrayportal.dicom import deliveries, sending
from xrayportal.dicom.identifiers import erase_expired
from xrayportal.dicom.models import Delivery, Destination, OriginalIdentifiers, ReturnSettings, StudyReturn
from xrayportal.dicom.sending import Sender
from xrayportal.dicom.transport.errors import SendingError
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.reviews.entries import Entry
from xrayportal.reviews.services import store_review
from xrayportal.studies.models import Study

State = Delivery.State


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[Any]]]:
    """What reached a destination: its name and the objects."""
    arrived: list[tuple[str, list[Any]]] = []
    monkeypatch.setattr(
        sending, "transmit", lambda destination, objects: arrived.append((destination.name, objects))
    )
    return arrived


@pytest.fixture
def destination(clinic: Clinic) -> Destination:
    return make_destination(clinic, "Archive")


def make_destination(clinic: Clinic, name: str, **fields: Any) -> Destination:
    known = {"ae_title": "ORTHANC", "calling_ae_title": "PORTAL", "host": "127.0.0.1", "port": 104}
    return Destination.objects.create(clinic=clinic, name=name, **{**known, **fields})


def sign(study: Study, verdict: str = "normal", reader: Any = None) -> None:
    reader = reader or make_user(study.clinic, Role.READER)
    access = ClinicAccess(reader, study.clinic, frozenset({Role.READER}))
    store_review(access=access, study_id=study.pk, entry=Entry(verdict=verdict), supersedes=None, sign=True)


def change_settings(clinic: Clinic, **fields: Any) -> None:
    ReturnSettings.objects.filter(clinic=clinic).update(**fields)


def test_a_final_result_is_sent_once_to_each_destination(
    clinic: Clinic, destination: Destination, sent: list[Any]
) -> None:
    make_destination(clinic, "Second")
    study = returned_study(clinic)
    sender = Sender()
    assert sender.round() == 2
    assert sender.round() == 0
    assert sorted(name for name, _objects in sent) == ["Archive", "Second"]
    assert [one.Modality for one in sent[0][1]] == ["OT", "SR", "PR"]
    assert {row.state for row in Delivery.objects.all()} == {State.SENT}
    assert AuditEvent.objects.filter(action="result-sent", study_id=study.pk).count() == 2


def test_the_clinic_chooses_what_is_sent(clinic: Clinic, destination: Destination, sent: list[Any]) -> None:
    change_settings(clinic, secondary_capture=False, presentation_state=False)
    returned_study(clinic)
    Sender().round()
    assert [one.Modality for one in sent[0][1]] == ["SR"]


def test_nothing_is_kept_or_sent_where_the_clinic_turned_it_off(
    clinic: Clinic, destination: Destination, sent: list[Any]
) -> None:
    change_settings(clinic, when=ReturnSettings.When.NEVER)
    returned_study(clinic)
    Sender().round()
    assert sent == []
    assert not OriginalIdentifiers.objects.exists()
    assert not StudyReturn.objects.exists()


def test_without_settings_nothing_is_kept(clinic: Clinic) -> None:
    ReturnSettings.objects.all().delete()
    received(clinic, dicom())
    assert not OriginalIdentifiers.objects.exists()


def test_an_unfinished_study_waits(clinic: Clinic, destination: Destination, sent: list[Any]) -> None:
    study = returned_study(clinic)
    running = make_analysis(study, Analysis.State.QUEUED)
    Sender().round()
    assert sent == []
    running.delete()
    Study.objects.update(state=Study.State.OPEN)  # a late image
    Sender().round()
    assert sent == []


@pytest.mark.parametrize("how", ["signed", "blind"])
def test_what_no_reader_has_signed_stays(
    clinic: Clinic, destination: Destination, sent: list[Any], how: str
) -> None:
    """Where the clinic wants that, and in every clinic that reads blind."""
    if how == "signed":
        change_settings(clinic, when=ReturnSettings.When.SIGNED)
    else:
        Clinic.objects.update(blind_first=True)
    study = returned_study(clinic)
    study.clinic.refresh_from_db()
    Sender().round()
    assert sent == []
    sign(study)
    Sender().round()
    (_name, objects), *others = sent
    assert others == []
    assert "Signed" in str(objects[1]) or "signed" in str(objects[1])


def test_readers_who_disagree_send_nothing(clinic: Clinic, destination: Destination, sent: list[Any]) -> None:
    change_settings(clinic, when=ReturnSettings.When.SIGNED)
    study = returned_study(clinic)
    sign(study, "normal")
    sign(study, "abnormal")
    Sender().round()
    assert sent == []


def test_a_signature_from_before_a_late_image_does_not_count(
    clinic: Clinic, destination: Destination, sent: list[Any]
) -> None:
    change_settings(clinic, when=ReturnSettings.When.SIGNED)
    study = returned_study(clinic)
    sign(study)
    Study.objects.update(sealed_at=timezone.now())
    Sender().round()
    assert sent == []


def test_blind_reading_turned_on_meanwhile_holds_the_delivery_back(
    clinic: Clinic, destination: Destination, sent: list[Any]
) -> None:
    returned_study(clinic)
    deliveries.pass_on()
    Clinic.objects.update(blind_first=True)
    Sender().round()
    assert sent == []
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == (State.WAITING, 0)
    assert row.not_before > timezone.now()


def test_a_new_result_and_a_new_signature_are_sent_again(
    clinic: Clinic, destination: Destination, sent: list[Any]
) -> None:
    study = returned_study(clinic)
    Sender().round()
    make_analysis(study)
    Sender().round()
    sign(study)
    Sender().round()
    reports = [objects[1] for _name, objects in sent]
    assert len({report.SOPInstanceUID for report in reports}) == 3


def test_a_newer_result_takes_the_place_of_one_that_waits(
    clinic: Clinic, destination: Destination, sent: list[Any]
) -> None:
    study = returned_study(clinic)
    deliveries.pass_on()
    newer = make_analysis(study)
    Sender().round()
    states = dict(Delivery.objects.values_list("analysis", "state"))
    assert states.pop(newer.pk) == State.SENT
    assert list(states.values()) == [State.WITHDRAWN]
    assert len(sent) == 1


def test_a_destination_that_is_away_is_tried_for_days(
    clinic: Clinic, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object) -> None:
        raise SendingError("unreachable")

    monkeypatch.setattr(sending, "transmit", away)
    returned_study(clinic)
    pauses = []
    for _attempt in range(8):
        Delivery.objects.update(not_before=timezone.now())
        Sender().round()
        row = Delivery.objects.get()
        assert (row.state, row.error_kind) == (State.WAITING, "unreachable")
        pauses.append(round((row.not_before - timezone.now()).total_seconds()))
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (15, 6 * 3600)
    Delivery.objects.update(not_before=timezone.now(), created_at=timezone.now() - timedelta(days=8))
    Sender().round()
    row = Delivery.objects.get()
    assert (row.state, AuditEvent.objects.filter(action="result-not-sent").count()) == (State.FAILED, 1)
    deliveries.retry(row, actor=PORTAL)
    assert Delivery.objects.get().state == State.WAITING


def test_a_destination_that_is_away_holds_nobody_up(
    clinic: Clinic, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_destination(clinic, "Second")
    asked: list[str] = []

    def first_is_away(where: Destination, _objects: object) -> None:
        asked.append(where.name)
        if where == destination:
            raise SendingError("unreachable")

    monkeypatch.setattr(sending, "transmit", first_is_away)
    for number in range(3):
        returned_study(clinic, patient_id=f"P{number}")
    assert Sender().round() == 3
    assert (asked.count("Archive"), asked.count("Second")) == (1, 3)


def test_a_sender_that_died_leaves_its_delivery_to_the_next(
    clinic: Clinic, destination: Destination, sent: list[Any]
) -> None:
    returned_study(clinic)
    deliveries.pass_on()
    first = deliveries.claim()
    assert first is not None
    assert deliveries.claim() is None
    Delivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert Sender().round() == 1
    deliveries.fail(first, kind="interrupted")  # the first one wakes up
    assert Delivery.objects.get().state == State.SENT


def test_results_go_only_where_the_operator_allows(
    clinic: Clinic, destination: Destination, settings: Any
) -> None:
    settings.DICOM_DESTINATION_NETWORKS = ["10.0.0.0/8"]
    returned_study(clinic)
    Sender().round()
    assert Delivery.objects.get().error_kind == "not-permitted"


def _delete(study: Study) -> None:
    assert delete_study(study=study, reason=Reason.REQUEST, actor=PORTAL)


def _expire(_study: Study) -> None:
    OriginalIdentifiers.objects.update(expires_at=timezone.now())
    StudyReturn.objects.update(expires_at=timezone.now())
    assert erase_expired() == 1


@pytest.mark.parametrize("end", [_delete, _expire])
def test_identifiers_are_erased_with_the_study_and_when_their_time_is_over(
    clinic: Clinic, destination: Destination, sent: list[Any], end: Callable[[Study], None]
) -> None:
    study = returned_study(clinic)
    deliveries.pass_on()
    end(study)
    assert not OriginalIdentifiers.objects.exists()
    assert not StudyReturn.objects.exists()
    Sender().round()
    assert sent == []
    assert not Delivery.objects.exclude(error_kind="identifiers-erased").exists()


def test_no_identifier_is_logged(
    clinic: Clinic, destination: Destination, sent: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    study = generate_uid()
    returned_study(clinic, study_uid=study, PatientName="Single")
    assert Sender().round() == 1
    for secret in (study, "Mustermann", "Single", "PID-4711", "ACC-90210", "19640812"):
        assert secret not in caplog.text


def test_identifiers_cannot_be_read_in_the_database(clinic: Clinic) -> None:
    received(clinic, dicom())
    content = bytes(OriginalIdentifiers.objects.get().content)
    for secret in (b"Mustermann", b"PID-4711", b"ACC-90210", b"1964"):
        assert secret not in content


def test_another_secret_key_opens_nothing(
    clinic: Clinic, destination: Destination, sent: list[Any], settings: Any
) -> None:
    returned_study(clinic)
    before = settings.SECRET_KEY
    settings.SECRET_KEY = "another secret of at least 32 characters"
    Sender().round()
    row = Delivery.objects.get()
    assert (row.state, row.error_kind, sent) == (State.FAILED, "identifiers-unreadable", [])
    settings.SECRET_KEY_FALLBACKS = [before]
    deliveries.retry(row, actor=PORTAL)
    assert Sender().round() == 1
