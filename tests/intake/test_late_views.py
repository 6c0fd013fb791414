"""Views that come late, or with another study's identifiers: nothing signed changes, nothing opens."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from pydicom.uid import generate_uid

from tests.factories import dicom, make_analysis, make_submission, png
from tests.house import House, Sender, browser, take
from tests.opinions import say
from xrayportal.access import ClinicAccess, access_of
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.models import Clinic, Membership, User
from xrayportal.intake import services
from xrayportal.studies.models import Study, Submission


def access(person: User) -> ClinicAccess:
    return access_of(person, Membership.objects.filter(user=person).select_related("clinic"))


def send(person: User, content: bytes, clinic: Clinic, **facts: Any) -> Study:
    """The study that a file of this person's goes to, in a finished submission of its own."""
    submission = make_submission(clinic, person)
    image = take(submission, content, **facts).image
    assert image is not None
    services.finish_submission(submission=submission, actor=PORTAL)
    return Study.objects.get(pk=image.study_id)


def analysed(study: Study) -> Study:
    Analysis.objects.filter(study=study).update(state="cancelled", finished_at=timezone.now())
    make_analysis(study)
    return study


@pytest.fixture
def uid() -> str:
    return str(generate_uid())


@pytest.fixture
def first(house: House, uid: str) -> Study:
    """One view that the uploader sent, analysed."""
    return analysed(send(house.uploader, dicom(study_uid=uid, shade=1), house.clinic))


def test_before_a_signature_the_sender_adds_to_their_study(house: House, first: Study, uid: str) -> None:
    say(access(house.reader), first, sign=False)
    assert send(house.uploader, dicom(study_uid=uid, shade=2), house.clinic) == first
    assert first.images.count() == 2


def test_a_signed_study_stays_as_its_reader_saw_it(house: House, first: Study, uid: str) -> None:
    signed = say(access(house.reader), first)
    first.refresh_from_db()
    before = Study.objects.filter(pk=first.pk).values().get()
    later = send(house.uploader, dicom(study_uid=uid, shade=2), house.clinic)
    again = send(house.uploader, dicom(study_uid=uid, shade=3), house.clinic)
    assert (later.part, later.grouping_key) == (2, first.grouping_key)
    assert again == later
    assert later.images.count() == 2
    assert later.analyses.filter(state="queued").count() == 1
    assert Study.objects.filter(pk=first.pk).values().get() == before
    assert first.images.count() == 1
    signed.refresh_from_db()
    assert (signed.is_current, signed.is_signed) == (True, True)
    stored = AuditEvent.objects.filter(action=Action.IMAGE_STORED, study_id=later.pk).order_by("number")
    assert [event.detail["part"] for event in stored] == [2, 2]


def test_the_reader_is_told_and_led_there(house: House, first: Study, uid: str) -> None:
    say(access(house.reader), first)
    later = send(house.uploader, dicom(study_uid=uid, shade=2), house.clinic)
    address = reverse("study", args=[house.clinic.slug, later.pk])
    page = browser(house.reader).get(reverse("study", args=[house.clinic.slug, first.pk])).content.decode()
    assert "More images of this examination came later" in page
    assert f'href="{address}"' in page
    assert "came later" not in browser(house.reader).get(address).content.decode()


def test_identifiers_open_nothing(house: House, first: Study, uid: str) -> None:
    own = send(house.colleague, dicom(study_uid=uid, shade=2), house.clinic)
    assert own != first
    assert first.images.count() == 1
    assert set(access(house.colleague).studies()) == {own}
    assert set(access(house.uploader).studies()) == {first}
    client = browser(house.colleague)
    assert client.get(reverse("study", args=[house.clinic.slug, first.pk])).status_code == 404
    page = client.get(reverse("study", args=[house.clinic.slug, own.pk])).content.decode()
    assert str(first.pk) not in page
    # Further views of each go on to their own.
    assert send(house.colleague, dicom(study_uid=uid, shade=3), house.clinic) == own
    assert send(house.uploader, dicom(study_uid=uid, shade=4), house.clinic) == first


def test_one_picture_of_a_study_does_not_open_the_others(house: House, uid: str) -> None:
    views = [dicom(study_uid=uid, shade=shade) for shade in (1, 2)]
    study = send(house.uploader, views[0], house.clinic)
    assert send(house.uploader, views[1], house.clinic) == study
    colleague = access(house.colleague)
    send(house.colleague, views[0], house.clinic)
    assert not colleague.studies().exists()
    assert not colleague.studies(listed=True).exists()
    assert not colleague.images().exists()
    # Who has all of them learns nothing new.
    send(house.colleague, views[1], house.clinic)
    assert list(colleague.studies()) == [study]


def test_the_page_of_a_submission_says_that_a_colleague_sent_it(house: House, uid: str) -> None:
    views = [dicom(study_uid=uid, shade=shade) for shade in (1, 2)]
    for view in views:
        study = analysed(send(house.uploader, view, house.clinic))
    sender = Sender(browser(house.colleague), house.clinic)
    begun = sender.begin()
    answer = sender.send(begun, "again.dcm", views[0]).json()
    assert (answer["outcome"], answer["study"]) == ("duplicate", None)
    page = browser(house.colleague).get(begun["page"]).content.decode()
    assert "in a study that a colleague sent" in page
    assert str(study.pk) not in page
    assert "/findings/" not in page


def test_a_csv_about_a_colleagues_picture_changes_and_tells_nothing(house: House) -> None:
    study = send(house.uploader, png(shade=1), house.clinic, patient_reference="P-1")
    sender = Sender(browser(house.colleague), house.clinic)
    for reference in ("P-1", "P-2"):
        begun = sender.begin(2)
        sender.send(begun, "rows.csv", f"file,patient_reference\na.png,{reference}\n".encode())
        sender.send(begun, "a.png", png(shade=1))
        submission = sender.finish(begun)
        assert "too late" in submission.uploads.get(filename="rows.csv").sentence
    study.refresh_from_db()
    assert study.patient_reference == "P-1"


def test_a_cancelled_study_goes_over_with_its_last_picture(house: House, uid: str) -> None:
    views = [dicom(study_uid=uid, shade=shade) for shade in (1, 2)]
    cancelled = make_submission(house.clinic, house.uploader)
    for number, view in enumerate(views):
        take(cancelled, view, key=str(number))
    services.cancel_submission(submission=cancelled, actor=PORTAL)
    mine = make_submission(house.clinic, house.colleague)
    take(mine, views[0], key="a")
    assert Study.objects.get().submission == cancelled
    assert not access(house.colleague).studies().exists()
    take(mine, views[1], key="b")
    assert Study.objects.get().submission == mine


def test_what_came_without_a_person_is_grouped_by_its_way_in(house: House, uid: str) -> None:
    command, browsers = Submission.Source.COMMAND, Submission.Source.BROWSER
    sent = [
        Submission.objects.create(clinic=house.clinic, submitter=None, source=source)
        for source in (command, command, browsers)
    ]
    for number, submission in enumerate(sent):
        take(submission, dicom(study_uid=uid, shade=number), key="k")
    assert list(Study.objects.order_by("part").values_list("images__uploads__submission", flat=True)) == [
        sent[0].pk,
        sent[1].pk,
        sent[2].pk,
    ]
    assert Study.objects.count() == 2


@pytest.mark.parametrize("address", ["review-save", "review-sign"])
def test_nobody_signs_under_pictures_that_their_page_did_not_show(
    house: House, first: Study, uid: str, address: str
) -> None:
    client = browser(house.reader)
    page = client.get(reverse("study", args=[house.clinic.slug, first.pk])).content.decode()
    assert 'name="images_shown" value="1"' in page
    send(house.uploader, dicom(study_uid=uid, shade=2), house.clinic)
    Analysis.objects.unfinished().update(state="cancelled", finished_at=timezone.now())
    to = reverse(address, args=[house.clinic.slug, first.pk])
    refused = client.post(to, {"verdict": "normal", "images_shown": "1"}, headers={"hx-request": "true"})
    assert refused.status_code == 409
    assert "More images of this study came" in refused.content.decode()
    assert 'name="images_shown" value="2"' in refused.content.decode()
    assert not first.reviews.exists()
    assert client.post(to, {"verdict": "normal", "images_shown": "2"}).status_code == 302
    assert first.reviews.count() == 1
