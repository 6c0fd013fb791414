"""Storing and settling reviews on a real PostgreSQL: rules, history, two people at once."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, transaction

from tests.factories import make_analysis, make_clinic, make_study
from tests.reviews.people import say, take_seat
from xrayportal.access import Seat
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Clinic, Role
from xrayportal.reviews import services
from xrayportal.reviews.entries import Entry
from xrayportal.reviews.models import Reading, Review
from xrayportal.reviews.services import ReviewRefused, StaleReview, StudyGone
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db


def store(seat: Seat, study: Study, entry: Entry, **fields: object) -> services.Stored:
    defaults: dict[str, object] = {"supersedes": None, "sign": True}
    return services.store_review(seat=seat, study_id=study.pk, entry=entry, **{**defaults, **fields})  # type: ignore[arg-type]


def test_a_draft_is_signed_in_place_and_settles_the_study(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)
    draft = say(seat, study, "abnormal", sign=False, comment="Distal radius.")
    assert study.reading.state == Reading.State.OPEN

    signed = say(seat, study, "abnormal", comment="Distal radius.")

    assert signed.pk == draft.pk
    assert signed.is_signed
    study.reading.refresh_from_db()
    assert (study.reading.state, study.reading.verdict) == (Reading.State.SETTLED, "abnormal")
    events = AuditEvent.objects.filter(study_id=study.pk).order_by("id").values_list("action", "detail")
    assert [action for action, _ in events] == [Action.REVIEW_SAVED, Action.REVIEW_SIGNED]
    assert all("verdict" not in detail and "comment" not in detail for _, detail in events)


def test_every_change_is_a_new_review_that_supersedes(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)
    first = say(seat, study, "normal")
    second = say(seat, study, "abnormal")

    first.refresh_from_db()
    assert (second.supersedes, first.superseded_by, first.is_current) == (first, second, False)
    assert (first.verdict, first.is_signed) == ("normal", True)
    assert second.kind == Review.Kind.FIRST
    assert study.reading.verdict == "abnormal"


def test_after_signing_a_change_is_signed_not_saved(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)
    say(seat, study, "normal")

    with pytest.raises(ReviewRefused, match="signed again"):
        say(seat, study, "abnormal", sign=False)


@pytest.mark.parametrize(
    "change", [{"verdict": "normal"}, {"comment": "x"}, {"signed_at": None}, {"is_current": True}]
)
def test_the_database_refuses_to_overwrite(clinic: Clinic, study: Study, change: dict[str, object]) -> None:
    seat = take_seat(clinic)
    old = say(seat, study, "abnormal")
    say(seat, study, "uncertain")

    with pytest.raises(IntegrityError, match="supersede it"), transaction.atomic():
        Review.objects.filter(pk=old.pk).update(**change)


def test_the_database_allows_one_current_review_a_reader(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)
    review = say(seat, study)
    twin = Review(
        clinic=clinic,
        study=study,
        reader=seat.user,
        kind=Review.Kind.FIRST,
        was_blind=False,
        verdict="normal",
    )

    with pytest.raises(IntegrityError, match="review_one_current_reading"), transaction.atomic():
        twin.save()
    assert Review.objects.get() == review


def test_a_stale_form_stores_nothing(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)
    shown = say(seat, study, "normal", sign=False)
    say(seat, study, "uncertain", sign=False)

    with pytest.raises(StaleReview, match="in the meantime"):
        store(seat, study, Entry("abnormal"), supersedes=shown.pk)
    assert Review.objects.get(is_current=True).verdict == "uncertain"


def test_the_same_form_twice_is_one_review(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)

    first = store(seat, study, Entry("normal", comment="Clear."))
    second = store(seat, study, Entry("normal", comment="Clear."))

    assert first.review == second.review
    assert Review.objects.count() == 1
    assert AuditEvent.objects.filter(study_id=study.pk).count() == 1


def test_saving_what_is_saved_adds_nothing(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)
    assert say(seat, study, "normal") == say(seat, study, "normal")
    assert Review.objects.count() == 1


@pytest.mark.parametrize("role", [Role.UPLOADER, Role.ADMIN])
def test_only_readers_review(clinic: Clinic, study: Study, role: str) -> None:
    with pytest.raises(ReviewRefused, match="Only readers"):
        say(take_seat(clinic, role), study)


def test_an_admin_who_also_reads_may(clinic: Clinic, study: Study) -> None:
    assert say(take_seat(clinic, Role.ADMIN, Role.READER), study).is_signed


def test_another_clinics_study_and_a_deleted_one_are_the_same(clinic: Clinic, study: Study) -> None:
    stranger = take_seat(make_clinic())
    with pytest.raises(StudyGone):
        store(stranger, study, Entry("normal"))

    seat = take_seat(clinic)
    Study.objects.filter(pk=study.pk).update(current=None)
    Study.objects.get(pk=study.pk).delete()
    with pytest.raises(StudyGone, match="deleted"):
        store(seat, study, Entry("normal"))


def test_a_study_that_receives_views_is_not_reviewed(clinic: Clinic) -> None:
    with pytest.raises(ReviewRefused, match="still receives views"):
        say(take_seat(clinic), make_study(clinic, state=Study.State.OPEN))


def test_a_third_reader_settles_a_disagreement(clinic: Clinic, study: Study) -> None:
    first, second, third = (take_seat(clinic) for _ in range(3))
    assert say(first, study, "normal").kind == Review.Kind.FIRST
    assert say(second, study, "abnormal").kind == Review.Kind.SECOND
    assert study.reading.state == Reading.State.DISAGREED

    for party in (first, second):
        with pytest.raises(ReviewRefused, match="nothing for you to settle"):
            say(party, study, "abnormal", ruling=True)
    ruling = say(third, study, "abnormal", ruling=True)

    assert ruling.kind == Review.Kind.ADJUDICATION
    study.reading.refresh_from_db()
    assert (study.reading.state, study.reading.verdict) == (Reading.State.ADJUDICATED, "abnormal")
    assert say(third, study, "normal", ruling=True).supersedes == ruling


def test_nobody_settles_where_readers_agree(clinic: Clinic, study: Study) -> None:
    say(take_seat(clinic), study, "normal")

    with pytest.raises(ReviewRefused, match="nothing for you to settle"):
        say(take_seat(clinic), study, "normal", ruling=True)


def test_the_admin_names_who_settles(clinic: Clinic, study: Study) -> None:
    first, second, third = (take_seat(clinic) for _ in range(3))
    admin = take_seat(clinic, Role.ADMIN)
    say(first, study, "normal")
    say(second, study, "abnormal")

    services.name_adjudicator(seat=admin, study_id=study.pk, reader=second.user)

    with pytest.raises(ReviewRefused):
        say(third, study, "normal", ruling=True)
    say(second, study, "uncertain", ruling=True)
    study.reading.refresh_from_db()
    assert (study.reading.state, study.reading.verdict) == (Reading.State.ADJUDICATED, "uncertain")
    # Their own reading is still there.
    assert Review.objects.filter(study=study, reader=second.user, is_current=True).count() == 2
    assert AuditEvent.objects.filter(action=Action.ADJUDICATOR_NAMED, target_id=str(second.user.pk)).exists()


def test_only_an_admin_names_and_only_a_reader_is_named(clinic: Clinic, study: Study) -> None:
    first, second = take_seat(clinic), take_seat(clinic)
    admin = take_seat(clinic, Role.ADMIN)
    with pytest.raises(ReviewRefused, match="do not disagree"):
        services.name_adjudicator(seat=admin, study_id=study.pk, reader=first.user)
    say(first, study, "normal")
    say(second, study, "abnormal")

    with pytest.raises(ReviewRefused, match="Only an admin"):
        services.name_adjudicator(seat=first, study_id=study.pk, reader=second.user)
    for nobody in (admin.user, take_seat(make_clinic()).user):
        with pytest.raises(ReviewRefused, match="not a reader"):
            services.name_adjudicator(seat=admin, study_id=study.pk, reader=nobody)


def test_a_corrected_part_is_analysed_again_once(clinic: Clinic, study: Study) -> None:
    seat = take_seat(clinic)

    stored = store(seat, study, Entry("abnormal", body_part="forearm"), sign=False)
    assert stored.analysis is not None
    assert (stored.analysis.forced_part, stored.analysis.requested_by) == ("forearm", seat.user)
    again = store(seat, study, Entry("abnormal", body_part="forearm"), supersedes=stored.review.pk)

    assert again.analysis is None
    assert Analysis.objects.filter(study=study, state=Analysis.State.QUEUED).count() == 1


def test_the_part_that_the_result_has_is_no_correction(clinic: Clinic, study: Study) -> None:
    assert store(take_seat(clinic), study, Entry("abnormal", body_part="wrist")).analysis is None


def test_without_an_active_bundle_the_review_is_kept(clinic: Clinic, study: Study) -> None:
    Bundle.objects.update(is_active=False)

    stored = store(take_seat(clinic), study, Entry("abnormal", body_part="forearm"))

    assert stored.problem
    assert stored.review.body_part == "forearm"


@pytest.mark.django_db(transaction=True)
def test_two_readers_at_once_are_first_and_second() -> None:
    clinic = make_clinic()
    study = make_study(clinic)
    make_analysis(study)
    seats = [take_seat(clinic) for _ in range(4)]
    start = threading.Barrier(len(seats))

    def review(seat: Seat) -> str:
        try:
            start.wait(timeout=10)
            return store(seat, study, Entry("normal")).review.kind
        finally:
            connection.close()

    with ThreadPoolExecutor(len(seats)) as pool:
        kinds = sorted(pool.map(review, seats))

    assert kinds == ["first", "second", "second", "second"]
    reading = Reading.objects.get(study=study)
    assert (reading.state, reading.readers) == (Reading.State.SETTLED, 4)


@pytest.mark.django_db(transaction=True)
def test_one_reader_in_two_windows_keeps_the_first_and_hears_of_it() -> None:
    clinic = make_clinic()
    study = make_study(clinic)
    seat = take_seat(clinic)
    start = threading.Barrier(2)

    def review(verdict: str) -> str:
        try:
            start.wait(timeout=10)
            store(seat, study, Entry(verdict))
        except StaleReview:
            return "stale"
        finally:
            connection.close()
        return "stored"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(review, ["normal", "abnormal"]))

    assert outcomes == ["stale", "stored"]
    assert Review.objects.filter(study=study, is_current=True).count() == 1


def test_a_nonsense_predecessor_is_stale(clinic: Clinic, study: Study) -> None:
    with pytest.raises(StaleReview):
        store(take_seat(clinic), study, Entry("normal"), supersedes=uuid.uuid4())
