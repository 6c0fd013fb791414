"""Studies, analyses, findings, reviews and the audit over the API; blind reading holds."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.urls import reverse

from tests.api.conftest import Program, address, program
from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, body, browser
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.services import request_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Membership, Role
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db

#: What tells of the prediction of `factories.make_analysis`; a time stamp may end in 20.874.
TELLING = re.compile(r"abnormal|Fracture suspected|wrist|(?<!\d)0\.87")


@pytest.fixture
def study(house: House) -> Study:
    """A study of the uploader with a result."""
    row = make_study(submission=make_submission(house.clinic, house.uploader), patient_reference="P-1")
    make_analysis(row)
    return row


def test_a_study_tells_its_result(reader: Program, study: Study) -> None:
    answer = reader.get(f"studies/{study.pk}").json()
    assert answer["status"] == "succeeded"
    assert answer["result"]["verdict"] == "abnormal"
    assert answer["result"]["verdict_words"] == "Fracture suspected"
    assert answer["result"]["probability"] == pytest.approx(0.87)
    assert answer["result"]["notice"] == "Research use only. Not a diagnosis."
    assert len(answer["images"]) == 1
    listed = reader.get("studies").json()["items"]
    assert [row["id"] for row in listed] == [str(study.pk)]
    assert listed[0]["result"] == answer["result"]


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("verdict=abnormal", True),
        ("verdict=normal", False),
        ("body_part=wrist", True),
        ("body_part=foot", False),
        ("patient_reference=P-1", True),
        ("patient_reference=P-2", False),
        ("created_from=2020-01-01T00:00:00Z", True),
        ("created_before=2020-01-01T00:00:00Z", False),
        (f"submission={uuid.UUID(int=1)}", False),
    ],
)
def test_studies_are_filtered(reader: Program, study: Study, query: str, is_found: bool) -> None:
    found = reader.get(f"studies?{query}")
    assert found.status_code == 200, found.content
    assert [row["id"] for row in found.json()["items"]] == ([str(study.pk)] if is_found else [])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=many",
        "verdict=broken",
        "submission=1",
        "created_from=2020-01-01T00:00:00",
        "created_from=1577836800",
        "created_from=0001-01-01T00:00:00%2B14:00",
        "patient_reference=%00",
    ],
)
def test_wrong_values_are_named(reader: Program, query: str) -> None:
    answer = reader.get(f"studies?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"].endswith(query.partition("=")[0])


def test_a_look_is_audited(reader: Program, study: Study) -> None:
    reader.get(f"studies/{study.pk}")
    event = AuditEvent.objects.get(action=Action.STUDY_VIEWED)
    assert event.detail == {"revealed": True}
    assert "API token" in event.actor_label
    assert event.actor_id_text == str(reader.token.account_id)


def test_an_analysis_tells_its_findings(reader: Program, study: Study) -> None:
    analysis = Analysis.objects.get()
    assert [row["id"] for row in reader.get(f"studies/{study.pk}/analyses").json()["items"]] == [
        str(analysis.pk)
    ]
    answer = reader.get(f"analyses/{analysis.pk}").json()
    finding = answer["findings"][0]
    assert finding["peak"] == {"x": 8, "y": 12}
    assert reader.get(f"findings/{finding['id']}").json() == finding
    for kind, media_type in {
        "display": "image/jpeg",
        "thumbnail": "image/jpeg",
        "overlay": "image/png",
        "map": "application/json",
    }.items():
        file = reader.get(finding["files"][kind])
        assert file.headers["Content-Type"] == media_type
        assert body(file)
        assert (
            reader.get(finding["files"][kind], **{"if-none-match": file.headers["ETag"]}).status_code == 304
        )
    assert reader.get(f"findings/{finding['id']}/files/passwd").status_code == 422


def test_an_original_needs_its_scope(house: House, reader: Program, study: Study) -> None:
    original = reader.get(f"studies/{study.pk}").json()["images"][0]["original"]
    file = reader.get(original)
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert body(file)
    assert AuditEvent.objects.filter(action=Action.IMAGE_VIEWED).count() == 1
    narrow = program(house.clinic, house.reader, "", scopes=["studies:read"])  # type: ignore[list-item]
    assert narrow.get(original).status_code == 403


def test_an_analysis_is_requested_and_called_off(uploader: Program, house: House) -> None:
    study = make_study(submission=make_submission(house.clinic, uploader.token.account))
    make_analysis(study, Analysis.State.FAILED)
    assert uploader.get(f"studies/{study.pk}").json()["problem"]
    answer = uploader.post(f"studies/{study.pk}/analyses", {})
    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"
    again = uploader.post(f"studies/{study.pk}/analyses", {})
    assert again.json()["id"] == answer.json()["id"]
    assert uploader.post(f"studies/{study.pk}/analyses", {"forced_body_part": "tail"}).status_code == 409
    cancelled = uploader.post(f"analyses/{answer.json()['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"


def test_an_open_study_is_not_analysed(uploader: Program, house: House) -> None:
    study = make_study(
        submission=make_submission(house.clinic, uploader.token.account), state=Study.State.OPEN
    )
    assert uploader.post(f"studies/{study.pk}/analyses", {}).status_code == 409


# --- blind reading ---


@pytest.fixture
def blind(house: House) -> House:
    """The house, reading blind."""
    house.clinic.blind_first = True
    house.clinic.save()
    return house


def everything(caller: Program, study: Study) -> dict[str, tuple[int, str]]:
    """Status and content of every answer about the study, by its address."""
    analysis = Analysis.objects.get(study=study)
    finding = analysis.findings.get()
    paths = [
        "studies",
        f"studies/{study.pk}",
        f"studies/{study.pk}/analyses",
        f"studies/{study.pk}/reviews",
        f"analyses/{analysis.pk}",
        f"findings/{finding.pk}",
        f"findings/{finding.pk}/files/overlay",
        f"findings/{finding.pk}/files/map",
        f"submissions/{study.submission_id}",
        "submissions",
    ]
    answers = {path: caller.get(path) for path in paths}
    return {path: (answer.status_code, body(answer).decode("latin-1")) for path, answer in answers.items()}


def test_a_blind_reader_learns_nothing_before_their_own_verdict(
    blind: House, study: Study, reader: Program
) -> None:
    for path, (status, content) in everything(reader, study).items():
        assert not TELLING.findall(content), path
        assert status == (404 if "/files/" in path else 200), path
    assert reader.get("studies?verdict=abnormal").json()["items"] == []
    assert reader.get("studies?body_part=wrist").json()["items"] == []
    assert reader.get(f"studies/{study.pk}").json()["is_hidden"]
    Analysis.objects.filter(study=study).update(milliseconds={"render": 7.5})  # more where an area is drawn
    assert reader.get(f"analyses/{study.current_id}").json()["milliseconds"] == {}
    display = Analysis.objects.get(study=study).findings.get().pk
    assert body(reader.get(f"findings/{display}/files/display"))  # what they read
    stored = reader.post(f"studies/{study.pk}/reviews", {"verdict": "normal"})
    assert stored.status_code == 201, stored.content
    assert stored.json()["was_blind"]
    assert reader.get(f"studies/{study.pk}").json()["result"]["verdict"] == "abnormal"
    assert reader.get(f"analyses/{study.current_id}").json()["milliseconds"] == {"render": 7.5}
    assert {status for status, _content in everything(reader, study).values()} == {200}


@pytest.mark.parametrize("role", [Role.UPLOADER, Role.READER, Role.ADMIN])
def test_a_blind_clinic_tells_programs_what_its_pages_tell_the_role(blind: House, role: Role) -> None:
    """A person with the role on the pages, a program of theirs, and a service with the role, each of its own.

    Whoever reads is blind; a sender sees the results of what they sent, and of nothing else.
    """
    person = {Role.UPLOADER: blind.uploader, Role.READER: blind.reader, Role.ADMIN: blind.admin}[role]
    own, service = program(blind.clinic, person, ""), program(blind.clinic, blind.admin, role)
    others = make_study(submission=make_submission(blind.clinic, blind.colleague))
    make_analysis(others)
    pages, is_blind = browser(person), role == Role.READER
    for caller in (own, service):
        study = make_study(submission=make_submission(blind.clinic, caller.token.account))
        analysis = make_analysis(study)
        finding = analysis.findings.get()
        answers = everything(caller, study)
        tells = {path: bool(TELLING.search(content)) for path, (_, content) in answers.items()}
        assert tells[f"studies/{study.pk}"] is not is_blind
        assert tells[f"analyses/{analysis.pk}"] is not is_blind
        assert tells[f"findings/{finding.pk}"] is not is_blind
        assert bool(caller.get("studies?verdict=abnormal").json()["items"]) is not is_blind
        assert answers[f"findings/{finding.pk}/files/map"][0] == (404 if is_blind else 200)
        assert caller.get(f"studies/{others.pk}").status_code == (404 if role == Role.UPLOADER else 200)
        if caller is own:
            file = pages.get(reverse("finding-file", args=[blind.clinic.slug, finding.pk, "map"]))
            body(file)  # which closes it
            assert file.status_code == answers[f"findings/{finding.pk}/files/map"][0]
            page = pages.get(reverse("study", args=[blind.clinic.slug, study.pk])).content.decode()
            assert ("0.87" in page) is not is_blind


def test_a_correction_is_hidden_from_a_blind_reader(blind: House, study: Study, reader: Program) -> None:
    corrected = make_analysis(study, forced_body_part="hand")
    assert reader.get(f"analyses/{corrected.pk}").status_code == 404
    listed = reader.get(f"studies/{study.pk}/analyses").json()["items"]
    assert str(corrected.pk) not in {row["id"] for row in listed}


# --- reviews ---


def test_a_reader_saves_signs_and_changes_their_mind(reader: Program, study: Study) -> None:
    path = f"studies/{study.pk}/reviews"
    draft = reader.post(path, {"verdict": "normal", "comment": "first look"}).json()
    assert draft["signed_at"] is None
    stale = reader.post(path, {"verdict": "abnormal", "sign": True})
    assert stale.status_code == 409
    signed = reader.post(path, {"verdict": "abnormal", "sign": True, "supersedes": draft["id"]})
    assert signed.status_code == 201
    assert signed.json()["signed_at"]
    answer = reader.get(path).json()
    assert answer["consensus"] == {"state": "agreed", "verdict": "abnormal", "body_part": "", "readers": 1}
    assert [(row["verdict"], row["is_own"]) for row in answer["items"]] == [("abnormal", True)]
    assert Review.objects.count() == 2


def test_a_review_draws_regions_on_the_studys_images_only(reader: Program, study: Study) -> None:
    image = str(study.images.get().pk)
    path = f"studies/{study.pk}/reviews"
    good = reader.post(path, {"verdict": "abnormal", "boxes": [{"image": image, "box": [1, 2, 3, 4]}]})
    assert good.status_code == 201
    assert good.json()["boxes"] == [{"image": image, "box": [1, 2, 3, 4]}]
    foreign = {"image": str(uuid.UUID(int=1)), "box": [1, 2, 3, 4]}
    assert reader.post(path, {"verdict": "abnormal", "boxes": [foreign]}).status_code == 409


def test_reviews_are_written_by_persons_with_the_scope(house: House, study: Study, admin: Program) -> None:
    path = f"studies/{study.pk}/reviews"
    assert admin.post(path, {"verdict": "normal"}).status_code == 403
    narrow = program(house.clinic, house.reader, "", scopes=["studies:read"])  # type: ignore[list-item]
    assert narrow.post(path, {"verdict": "normal"}).status_code == 403
    not_a_reader = program(house.clinic, house.admin, "")
    assert not_a_reader.post(path, {"verdict": "normal"}).status_code == 403
    assert not Review.objects.exists()


# --- audit ---


def test_the_audit_is_read_on_and_on(admin: Program, reader: Program, house: House, study: Study) -> None:
    first = admin.get("audit/events?limit=1").json()
    assert first["items"][0]["number"] == 1
    rest = admin.get(f"audit/events?cursor={first['next']}").json()
    numbers = [row["number"] for row in rest["items"]]
    assert numbers == list(range(2, len(numbers) + 2))
    assert admin.get(f"audit/events?cursor={rest['next']}").json() == {"items": [], "next": None}
    reader.get(f"studies/{study.pk}")
    later = admin.get(f"audit/events?cursor={rest['next']}").json()["items"]
    assert [row["action"] for row in later] == ["study-viewed"]
    one = admin.get(f"audit/events?action=study-viewed&study={study.pk}").json()["items"]
    assert one == later


def test_the_audit_is_the_admins_and_the_clinics(house: House, reader: Program, admin: Program) -> None:
    assert reader.get("audit/events").status_code == 403
    foreign = program(make_study().clinic, house.admin, "admin")
    numbers = {row["hash"] for row in admin.get("audit/events").json()["items"]}
    assert not numbers & {row["hash"] for row in foreign.get("audit/events").json()["items"]}


def test_the_audit_tells_a_blind_reader_of_no_correction(
    blind: House, study: Study, reader: Program, admin: Program
) -> None:
    Membership.objects.create(clinic=blind.clinic, user=blind.reader, role=Role.ADMIN)
    both = program(blind.clinic, blind.reader, "")
    request_analysis(study=study, forced_body_part="knee")

    def detail(caller: Program) -> dict[str, Any]:
        path = f"audit/events?action=analysis-requested&study={study.pk}"
        event: dict[str, Any] = caller.get(path).json()["items"][-1]
        return event["detail"]

    assert detail(admin)["forced_body_part"] == "knee"
    assert "forced_body_part" not in detail(both)
    assert reader.post(f"studies/{study.pk}/reviews", {"verdict": "normal"}).status_code == 201
    assert detail(both)["forced_body_part"] == "knee"


def test_a_token_tells_what_it_is(blind: House, reader: Program, uploader: Program) -> None:
    Membership.objects.create(clinic=blind.clinic, user=blind.reader, role=Role.UPLOADER)
    answer: dict[str, Any] = reader.get("token").json()
    assert answer["roles"] == ["reader", "uploader"]
    assert answer["clinic"] == blind.clinic.slug
    assert answer["reads_blind"]
    assert not uploader.get("token").json()["reads_blind"]
    assert address("token") == "/api/v1/token"
