"""Other studies of the same patient reference: access, blind reading, the audit, a constant cost."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from tests.counting import counted
from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, browser
from tests.opinions import make_access, say
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import User
from xrayportal.studies.models import Study


def done(house: House, reference: str = "NH-1", **fields: Any) -> Study:
    study = make_study(submission=make_submission(house.clinic, house.uploader), patient_reference=reference)
    make_analysis(study, **fields)
    return study


def read(house: House, person: User, study: Study, query: str = "") -> str:
    response = browser(person).get(reverse("study", args=[house.clinic.slug, study.pk]) + query)
    assert response.status_code == 200
    return str(response.content.decode())


def test_lists_the_others_of_the_same_reference(house: House) -> None:
    study, other, stranger = done(house), done(house), done(house, "NH-2")
    foreign = make_study(patient_reference="NH-1")
    page = read(house, house.reader, study)
    assert f"beside={other.pk}" in page
    for absent in (study, stranger, foreign):
        assert f"beside={absent.pk}" not in page
    # Without a reference nobody is the same patient.
    assert "Same patient reference" not in read(house, house.reader, done(house, ""))
    assert "Same patient reference" not in read(house, house.reader, stranger)


def test_an_uploader_sees_their_own_only(house: House) -> None:
    study = done(house)
    other = make_study(submission=make_submission(house.clinic, house.colleague), patient_reference="NH-1")
    make_analysis(other)
    assert f"beside={other.pk}" not in read(house, house.uploader, study)
    assert 'data-link="pair"' not in read(house, house.uploader, study, f"?beside={other.pk}")


def test_two_viewers_move_together_and_both_looks_are_audited(house: House) -> None:
    study, other = done(house), done(house)
    page = read(house, house.reader, study, f"?beside={other.pk}")
    assert page.count('data-link="pair"') == 2
    for one, place in ((study, "viewer"), (other, "viewer-beside")):
        finding = one.analyses.get().findings.get()
        figure = page.split(f'<figure class="viewer" id="{place}"')[1].split("</figure>")[0]
        assert f"{finding.pk}/display" in figure
    looks = AuditEvent.objects.filter(action=Action.STUDY_VIEWED, detail__revealed=True)
    assert set(looks.values_list("study_id", flat=True)) == {study.pk, other.pk}
    for nonsense in ("nonsense", str(study.pk), str(done(house, "NH-2").pk)):
        assert 'data-link="pair"' not in read(house, house.reader, study, f"?beside={nonsense}")


def test_blindness_holds_for_each(house: House) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    study, other, reviewed = done(house), done(house), done(house, verdict="normal", probability=0.1)
    access = make_access(house.clinic)
    say(access, reviewed, "normal")
    page = read(house, access.user, study, f"?beside={other.pk}")
    assert page.count('data-link="pair"') == 2
    assert "/overlay" not in page
    assert "Fracture suspected" not in page.split('id="earlier-of-')[1].split("</section>")[0]
    assert "No fracture seen" in page.split('id="earlier-of-')[1].split("</section>")[0]
    finding = reviewed.analyses.get().findings.get()
    beside = read(house, access.user, study, f"?beside={reviewed.pk}")
    assert f"{finding.pk}/overlay" in beside
    assert beside.count("/overlay") == beside.count(f"{finding.pk}/overlay")


def test_the_poll_keeps_both_viewers(house: House) -> None:
    study, other = done(house), done(house)
    make_analysis(study, "queued")
    address = reverse("study-result", args=[house.clinic.slug, study.pk])
    person = browser(house.reader)
    fragment = person.get(address, {"beside": str(other.pk)}).content.decode()
    assert f"&amp;beside={other.pk}" in fragment
    viewer_id = fragment.split("kept=")[1].split('"')[0]
    again = person.get(address, {"beside": str(other.pk), "kept": viewer_id}).content.decode()
    assert "<figure" not in again


def test_cost_does_not_grow_with_the_others(house: House) -> None:
    study = done(house)
    done(house)
    read(house, house.reader, study)  # the first event of a clinic begins its chain
    with counted() as few:
        read(house, house.reader, study)
    for _ in range(6):
        done(house)
    with counted() as many:
        read(house, house.reader, study)
    assert len(many) == len(few)
