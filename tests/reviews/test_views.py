"""The panel, the disagreements and the report through HTTP: roles, blind first, stale forms, query counts."""

from __future__ import annotations

import html
import io
import json
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pypdf import PdfReader

from tests.factories import make_analysis, make_clinic, make_study
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Clinic, Role
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def clinic() -> Clinic:
    return make_clinic(blind_first=True)


@pytest.fixture
def study(clinic: Clinic) -> Study:
    study = make_study(clinic, patient_reference="P-17")
    make_analysis(study)
    return study


def as_(access: ClinicAccess) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


def address(name: str, clinic: Clinic, study: Study) -> str:
    return reverse(name, args=[clinic.slug, study.pk])


def post(
    access: ClinicAccess, study: Study, name: str = "review-sign", *, htmx: bool = True, **data: Any
) -> Any:
    return as_(access).post(
        address(name, access.clinic, study), {"supersedes": "", **data}, headers=HTMX if htmx else {}
    )


def test_a_blind_reader_saves_sees_and_changes_their_mind(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    page = as_(access).get(address("review", clinic, study)).content.decode()
    assert "Blind reading" in page
    assert "Save and show the prediction" in page

    saved = post(access, study, "review-save", verdict="normal")
    assert saved.status_code == 200
    assert json.loads(saved["HX-Trigger"]) == {"review-stored": {"study": str(study.pk), "signed": False}}
    draft = Review.objects.get()

    signed = post(access, study, verdict="abnormal", supersedes=draft.pk, comment="<b>Radius</b>")
    page = signed.content.decode()
    assert "Signed." in page
    assert "Your verdict before you saw the prediction" in page
    assert "&lt;b&gt;Radius" in page
    assert Consensus.objects.get().changes == 1


def test_without_script_it_is_a_plain_form(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)

    refused = post(access, study, htmx=False, comment="Typed at length.")
    assert refused.status_code == 422
    assert "Choose a verdict first." in refused.content.decode()
    assert "Typed at length." in refused.content.decode()

    stored = post(access, study, htmx=False, verdict="normal")
    assert stored.status_code == 302
    assert stored["Location"] == address("study", clinic, study)


def test_a_stale_form_keeps_what_was_entered_and_shows_what_is_there(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    other_window = say(access, study, "uncertain", sign=False, comment="From the other window.")

    answer = post(access, study, verdict="abnormal", comment="From this one.")
    page = answer.content.decode()

    assert answer.status_code == 409
    assert "in the meantime" in page
    assert "From this one." in page
    assert "From the other window." in page
    assert f'name="supersedes" value="{other_window.pk}"' in page
    again = post(access, study, verdict="abnormal", comment="From this one.", supersedes=other_window.pk)
    assert again.status_code == 200


def test_a_study_deleted_while_open_is_one_sentence(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    where = address("review-save", clinic, study)
    Study.objects.filter(pk=study.pk).update(current=None)
    Study.objects.get(pk=study.pk).delete()

    answer = as_(access).post(where, {"verdict": "normal"}, headers=HTMX)

    assert answer.status_code == 404
    assert "deleted while you had it open" in answer.content.decode()


@pytest.mark.parametrize("supersedes", ["nonsense", "6f1de3f6-3c3a-4d3e-9c55-0d4b8a7a51c2"])
def test_a_made_up_predecessor_is_stale(clinic: Clinic, study: Study, supersedes: str) -> None:
    assert post(make_access(clinic), study, verdict="normal", supersedes=supersedes).status_code == 409


@pytest.mark.parametrize("name", ["review", "review-save", "review-sign", "adjudicator", "report"])
def test_strangers_and_wrong_roles_get_404(clinic: Clinic, study: Study, name: str) -> None:
    refused = [make_access(make_clinic(), Role.ADMIN, Role.READER)]
    if name.startswith("review"):
        refused += [make_access(clinic, Role.UPLOADER), make_access(clinic, Role.ADMIN)]
    if name == "adjudicator":
        refused += [make_access(clinic, Role.UPLOADER), make_access(clinic, Role.READER)]
    if name == "report":
        refused += [make_access(clinic, Role.UPLOADER)]
    where = address(name, clinic, study)
    for access in refused:
        client = as_(access)
        answer = (
            client.get(where) if name in ("review", "report") else client.post(where, {"verdict": "normal"})
        )
        assert answer.status_code == 404, access.roles
    assert Review.objects.count() == 0
    assert Client().get(where).status_code == 302


def test_a_blind_reader_sees_no_other_review(clinic: Clinic, study: Study) -> None:
    say(
        make_access(clinic, first_name="Ada", last_name="First"), study, "abnormal", comment="Clear fracture."
    )
    second = make_access(clinic)

    before = as_(second).get(address("review", clinic, study)).content.decode()
    say(second, study, "normal")
    after = as_(second).get(address("review", clinic, study)).content.decode()

    assert "Clear fracture." not in before
    assert "Signed by" not in before
    assert "Clear fracture." in after
    assert "The signed verdicts differ." in after


def test_the_adjudicator_sees_the_readers_but_not_what_they_changed(clinic: Clinic, study: Study) -> None:
    first, second, third = (make_access(clinic) for _ in range(3))
    say(first, study, "normal", sign=False)
    image = str(study.images.get().pk)
    say(
        first,
        study,
        "abnormal",
        comment="The model is right: 0.87.",
        body_part="hand",
        boxes=[{"image": image, "box": [1, 2, 3, 4]}],
    )
    say(second, study, "normal")

    page = as_(third).get(address("review", clinic, study)).content.decode()
    assert '<h2 id="review-heading">Adjudication</h2>' in page
    assert str(first.user) in page
    # What was said after the prediction may quote it.
    told = ["· blind", "The model is right", "<span>Hand</span>", "1 region", "[1, 2, 3, 4]"]
    assert [words for words in told if words in html.unescape(page)] == []
    assert page.count("Hidden until you give your verdict") == 2

    answer = post(third, study, verdict="abnormal", adjudicates="1")
    page = html.unescape(answer.content.decode())
    assert "Decided by adjudication" in page
    assert [words for words in told if words not in page] == []
    assert Review.objects.get(kind=Review.Kind.ADJUDICATION).was_blind


def test_the_panel_costs_the_same_however_many_reviews(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    client = as_(access)
    say(access, study, "normal")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(address("review", clinic, study)).status_code == 200
        return len(captured)

    queries()  # the first look of a visit is written down
    few = queries()
    for verdict in ("abnormal", "uncertain", "normal"):
        say(make_access(clinic), study, verdict)
        say(access, study, verdict)
    assert queries() == few <= 10


def test_the_disagreements_list_and_naming(clinic: Clinic, study: Study) -> None:
    first, second, third = (make_access(clinic) for _ in range(3))
    admin = make_access(clinic, Role.ADMIN)
    say(first, study, "normal")
    say(second, study, "abnormal")
    where = reverse("disagreements", args=[clinic.slug])

    page = as_(third).get(where).content.decode()
    assert "P-17" in page
    assert "You can decide this" in page
    page = as_(admin).get(where).content.decode()
    assert "Who decides" in page

    named = as_(admin).post(address("adjudicator", clinic, study), {"reader": first.user.pk})
    assert named.status_code == 302
    assert Consensus.objects.get().adjudicator == first.user
    assert "You can decide this" not in as_(third).get(where).content.decode()
    for nobody in (make_access(make_clinic()).user.pk, "x"):
        assert as_(admin).post(address("adjudicator", clinic, study), {"reader": nobody}).status_code == 404


def test_a_blind_reader_who_cannot_settle_sees_no_verdict_in_the_list(clinic: Clinic, study: Study) -> None:
    first, second = make_access(clinic), make_access(clinic)
    say(first, study, "normal")
    say(second, study, "abnormal")
    Consensus.objects.update(adjudicator=first.user)

    page = as_(make_access(clinic)).get(reverse("disagreements", args=[clinic.slug])).content.decode()

    assert "Hidden until you give your verdict" in page
    assert "Fracture suspected" not in page


def test_the_disagreements_cost_the_same_for_one_and_many(clinic: Clinic) -> None:
    first, second, admin = make_access(clinic), make_access(clinic), make_access(clinic, Role.ADMIN)
    client = as_(admin)

    def disagree() -> None:
        study = make_study(clinic)
        make_analysis(study)
        say(first, study, "normal")
        say(second, study, "abnormal")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("disagreements", args=[clinic.slug]))
        return len(captured)

    disagree()
    queries()  # counts in the sidebar are remembered for a while
    one = queries()
    for _ in range(4):
        disagree()
    assert queries() == one


@pytest.mark.parametrize("role", [Role.UPLOADER])
def test_uploaders_have_no_disagreements(clinic: Clinic, role: str) -> None:
    assert as_(make_access(clinic, role)).get(reverse("disagreements", args=[clinic.slug])).status_code == 404


def test_the_report_waits_for_the_blind_readers_opinion(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    client = as_(access)

    early = client.get(address("report", clinic, study))
    assert early.status_code == 302
    assert "own verdict first" in str(next(iter(get_messages(early.wsgi_request))))
    say(access, study, "normal", comment="No step-off.")
    report = client.get(address("report", clinic, study))

    assert report["Content-Type"] == "application/pdf"
    reader = PdfReader(io.BytesIO(report.content))
    text = reader.pages[0].extract_text()
    assert len(reader.pages) == 1
    for words in (
        "P-17",
        "Fracture suspected",
        "0.87",
        "No step-off.",
        "Research use only. Not a diagnosis.",
    ):
        assert words in text
    assert AuditEvent.objects.filter(
        action=Action.EXPORTED, study_id=study.pk, detail={"kind": "report"}
    ).exists()


def test_a_study_without_a_result_has_no_report(clinic: Clinic) -> None:
    study = make_study(clinic)
    assert as_(make_access(clinic)).get(address("report", clinic, study)).status_code == 302
