"""Who saw this patient? Every way of seeing is listed, for the clinic's admins; the exports hold the same."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.urls import reverse
from fhir.resources.R4B.auditevent import AuditEvent as FhirAuditEvent
from fhir.resources.R4B.bundle import Bundle

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, body, browser
from tests.opinions import say
from xrayportal.access import ClinicAccess, access_of
from xrayportal.access_report import report as report_module
from xrayportal.access_report.report import report_of
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Membership, User
from xrayportal.reviews.blind import is_blind
from xrayportal.studies.models import Study

REFERENCE = "P-KNOWN-1"


def access(person: User) -> ClinicAccess:
    return access_of(person, Membership.objects.filter(user=person).select_related("clinic"))


@pytest.fixture
def study(house: House) -> Study:
    submission = make_submission(house.clinic, house.uploader)
    study = make_study(submission=submission, patient_reference=REFERENCE)
    make_analysis(study)
    return study


@pytest.fixture
def seen(house: House, study: Study) -> Study:
    """By a reader, the uploader and an admin, in every way."""
    at = [house.clinic.slug]
    reader, uploader, admin = (browser(one) for one in (house.reader, house.uploader, house.admin))
    body(reader.get(reverse("study", args=[*at, study.pk])))
    body(uploader.get(reverse("image-file", args=[*at, study.images.get().pk])))
    body(reader.get(reverse("report", args=[*at, study.pk])))
    body(admin.post(reverse("submission-results", args=[*at, study.submission_id])))
    body(admin.post(reverse("submission-pictures", args=[*at, study.submission_id])))
    body(admin.post(reverse("history-export", args=at)))
    say(access(house.reader), study)
    return study


def page(house: House, text: str, person: User | None = None) -> str:
    address = reverse("access-report", args=[house.clinic.slug])
    response = browser(person or house.admin).get(address, {"q": text})
    assert response.status_code == 200
    return str(response.content.decode())


def export(house: House, form: str, text: str = REFERENCE) -> Any:
    address = reverse(f"access-report-{form}", args=[house.clinic.slug])
    response = browser(house.admin).post(address, {"q": text})
    assert response.status_code == 200
    return response


EXPECTED = [
    "signed a review",
    "exported data",
    "exported data",
    "exported data",
    "exported data",
    "opened an image file",
    "viewed a study",
]


@pytest.mark.parametrize("by", ["reference", "study"])
def test_every_way_of_seeing_is_listed(house: House, seen: Study, by: str) -> None:
    report = report_of(access(house.admin), REFERENCE if by == "reference" else f" {seen.pk} ")
    assert report is not None
    assert report.studies == [seen.pk]
    lines = list(report.disclosures(report.events))
    assert [line.event.words for line in lines] == EXPECTED
    assert [(line.event.actor_label, str(line.words), line.is_certain) for line in lines] == [
        (house.reader.email, "Signed a review", True),
        (house.admin.email, "Exported the history, which may contain it", False),
        (house.admin.email, "Exported its submission with images", True),
        (house.admin.email, "Exported the results of its submission", True),
        (house.reader.email, "Printed the report", True),
        (house.uploader.email, "Downloaded an image file", True),
        (house.reader.email, "Viewed the study with its prediction", True),
    ]
    shown = page(house, REFERENCE if by == "reference" else str(seen.pk))
    for line in lines:
        assert str(line.words) in shown
        assert line.event.actor_label in shown


def test_others_and_other_clinics_are_not_in_it(house: House, seen: Study) -> None:
    other = make_study(house.clinic, patient_reference="P-KNOWN-10")
    make_analysis(other)
    foreign = make_study(patient_reference=REFERENCE)
    body(browser(house.reader).get(reverse("study", args=[house.clinic.slug, other.pk])))
    report = report_of(access(house.admin), REFERENCE)
    assert report is not None
    assert report.studies == [seen.pk]
    assert {line.study for line in report.disclosures(report.events)} == {seen.pk, None}
    assert report_of(access(house.admin), str(foreign.pk)) is None
    assert "This clinic has no study" in page(house, str(foreign.pk))
    for nothing in ("", "   ", "P-KNOWN", "%", str(foreign.pk)):
        assert report_of(access(house.admin), nothing) is None


def test_a_reference_of_too_many_studies_says_so(
    house: House, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "More studies have this reference" not in page(house, REFERENCE)
    make_study(submission=study.submission, patient_reference=REFERENCE)
    monkeypatch.setattr(report_module, "MOST_STUDIES", 1)
    assert "tell of the oldest 1 alone" in page(house, REFERENCE)
    found = report_of(access(house.admin), REFERENCE)
    assert found is not None
    assert found.studies == [study.pk]


def test_a_deleted_study_is_found_by_its_id(house: House, seen: Study) -> None:
    pk = seen.pk
    browser(house.admin).post(reverse("study-delete", args=[house.clinic.slug, pk]), {"reason": "mistake"})
    shown = page(house, str(pk))
    assert "Who saw this study, which was deleted" in shown
    report = report_of(access(house.admin), str(pk))
    assert report is not None
    browser(house.admin).post(reverse("history-export", args=[house.clinic.slug]))
    assert [event.words for event in report.events] == EXPECTED, "and nothing after it was deleted"
    assert "Viewed the study with its prediction" in shown
    assert f'href="{reverse("study", args=[house.clinic.slug, pk])}"' not in shown
    assert "This clinic has no study" in page(house, REFERENCE)
    assert [event["resource"]["subtype"][0]["code"] for event in _bundle(house, str(pk))["entry"]][-1] == (
        "study-viewed"
    )


@pytest.mark.parametrize("name", ["access-report", "access-report-csv", "access-report-fhir"])
@pytest.mark.parametrize("who", ["uploader", "reader", "stranger", "superuser"])
def test_it_is_for_the_clinics_admins(house: House, seen: Study, name: str, who: str) -> None:
    client = browser(getattr(house, who))
    address = reverse(name, args=[house.clinic.slug])
    send = client.get if name == "access-report" else client.post
    assert send(address, {"q": REFERENCE}).status_code == 404


def test_the_csv(house: House, seen: Study) -> None:
    response = export(house, "csv")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(b"".join(response).decode("utf-8-sig"))))
    assert rows[1][:6] == ["at", "person", "person_id", "address", "action", "words"]
    lines = [dict(zip(rows[1], row, strict=True)) for row in rows[2:]]
    assert [line["action"] for line in lines][-1] == "study-viewed"
    assert [line["certain"] for line in lines] == ["yes", "no", *["yes"] * 5]
    event = AuditEvent.objects.get(number=lines[0]["event"], clinic=house.clinic)
    assert (event.hash, event.action) == (lines[0]["event_hash"], "review-signed")


def _bundle(house: House, text: str = REFERENCE) -> dict[str, Any]:
    bundle: dict[str, Any] = json.loads(body(export(house, "fhir", text)))
    return bundle


def test_the_fhir_bundle_is_valid(house: House, seen: Study) -> None:
    response = export(house, "fhir")
    assert response.headers["Content-Type"] == "application/fhir+json"
    content = b"".join(response)  # with its hashes
    bundle = Bundle.model_validate_json(content)
    assert bundle.type == "collection"
    events = [entry.resource for entry in bundle.entry]
    assert len(events) == len(EXPECTED)
    assert all(isinstance(event, FhirAuditEvent) for event in events)
    assert len({entry.fullUrl for entry in bundle.entry}) == len(events)
    by_code = {event.subtype[0].code: event for event in events}
    viewed = by_code["study-viewed"]
    assert viewed.type.code == "110103"
    assert viewed.agent[0].who.display == house.reader.email
    assert viewed.agent[0].who.identifier.value == str(house.reader.pk)
    assert (viewed.agent[0].network.address, viewed.agent[0].network.type) == ("127.0.0.1", "2")
    assert viewed.source.site == house.clinic.name
    patient, study = viewed.entity
    assert patient.what.identifier.value == REFERENCE
    assert study.what.identifier.value == seen.pk.urn
    details = {one.type: one.valueString for one in study.detail}
    row = AuditEvent.objects.get(clinic=house.clinic, action=Action.STUDY_VIEWED)
    assert details["audit hash"] == row.hash
    assert (details["certain"], details["prediction shown"]) == ("yes", "yes")
    assert viewed.recorded == row.at
    assert by_code["exported"].type.code == "110106"
    # What is written is what was read: nothing that the standard does not know.
    assert json.loads(content)["entry"][0]["resource"].keys() <= set(FhirAuditEvent.elements_sequence()) | {
        "resourceType"
    }


def test_a_broken_bundle_is_refused_by_the_validator(house: House, seen: Study) -> None:
    """So that the test above can fail."""
    resource = _bundle(house)["entry"][0]["resource"]
    FhirAuditEvent.model_validate(resource)
    for field in ("recorded", "agent", "source", "type"):
        with pytest.raises(ValueError, match=field):
            FhirAuditEvent.model_validate({key: value for key, value in resource.items() if key != field})


def test_an_export_is_audited_without_the_reference_and_is_no_look(house: House, seen: Study) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    Membership.objects.create(clinic=house.clinic, user=house.admin, role="reader")
    export(house, "csv")
    event = AuditEvent.objects.filter(clinic=house.clinic).latest("number")
    assert event.detail == {"kind": "access-report-csv", "studies": [str(seen.pk)]}
    assert REFERENCE not in json.dumps(event.detail)
    assert event.study_id is None
    make_study(house.clinic, patient_reference=REFERENCE)
    new = Study.objects.latest("created_at")
    analysis = make_analysis(new)
    export(house, "fhir")
    assert is_blind(access(house.admin), new, analysis)


def test_it_is_linked_from_the_study_for_admins(house: House, study: Study) -> None:
    link = f"{reverse('access-report', args=[house.clinic.slug])}?q={study.pk}"
    address = reverse("study-history", args=[house.clinic.slug, study.pk])
    assert link in browser(house.admin).get(address).content.decode()
    assert link not in browser(house.reader).get(address).content.decode()


def test_many_events_have_pages(house: House, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xrayportal.web.access_report.views.PER_PAGE", 1)
    for person in (house.reader, house.admin):
        body(browser(person).get(reverse("study", args=[house.clinic.slug, study.pk])))
    shown = page(house, REFERENCE)
    assert house.reader.email not in shown
    assert "page=2" in shown
