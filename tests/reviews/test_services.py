"""Storing reviews and settling disagreements: rules, history, two people at once."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, transaction

from tests.factories import make_analysis, make_clinic, make_study
from tests.opinions import make_access, say
from tests.threads import at_once
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Clinic, Role
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.reviews import services
from xrayportal.reviews.disagreements import disagreements_of, rows_of
from xrayportal.reviews.entries import Entry
from xrayportal.reviews.models import Consensus, Review
from xrayportal.reviews.services import ReviewRefused, StaleReview, StoredReview, StudyDeleted
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db


def store(access: ClinicAccess, study: Study, entry: Entry, **fields: object) -> StoredReview:
    defaults: dict[str, object] = {"supersedes": None, "sign": True}
    return services.store_review(access=access, study_id=study.pk, entry=entry, **{**defaults, **fields})  # type: ignore[arg-type]


def test_what_waits_for_a_decision_waits_since_the_readers_disagree(
    clinic: Clinic, study: Study, admin: ClinicAccess
) -> None:
    say(make_access(clinic), study, "normal")
    say(make_access(clinic), study, "abnormal")
    since = Consensus.objects.get().changed_at
    third = make_access(clinic)
    services.name_adjudicator(access=admin, study_id=study.pk, reader=third.user)
    say(third, study, "abnormal", sign=False, adjudicates=True)
    assert Consensus.objects.get().changed_at == since
    say(third, study, "abnormal", adjudicates=True)
    assert Consensus.objects.get().changed_at > since


def test_a_study_that_is_deleted_meanwhile_is_left_out_of_the_disagreements(
    clinic: Clinic, study: Study, admin: ClinicAccess
) -> None:
    say(make_access(clinic), study, "normal")
    say(make_access(clinic), study, "abnormal")
    consensuses = list(disagreements_of(admin))
    delete_study(study=study, reason=Reason.OTHER, actor=admin.actor)
    assert len(consensuses) == 1
    assert rows_of(admin, consensuses, []) == []


def test_a_draft_is_signed_in_place_and_settles_the_study(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    draft = say(access, study, "abnormal", sign=False, comment="Distal radius.")
    assert study.consensus.state == Consensus.State.OPEN

    signed = say(access, study, "abnormal", comment="Distal radius.")

    assert signed.pk == draft.pk
    assert signed.is_signed
    study.consensus.refresh_from_db()
    assert (study.consensus.state, study.consensus.verdict) == (Consensus.State.AGREED, "abnormal")
    events = AuditEvent.objects.filter(study_id=study.pk).order_by("id").values_list("action", "detail")
    assert [action for action, _ in events] == [Action.REVIEW_SAVED, Action.REVIEW_SIGNED]
    assert all("verdict" not in detail and "comment" not in detail for _, detail in events)


def test_every_change_is_a_new_review_that_supersedes(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    first = say(access, study, "normal")
    second = say(access, study, "abnormal")

    first.refresh_from_db()
    assert (second.supersedes, first.superseded_by, first.is_current) == (first, second, False)
    assert (first.verdict, first.is_signed) == ("normal", True)
    assert second.kind == Review.Kind.FIRST
    assert study.consensus.verdict == "abnormal"


def test_after_signing_a_change_is_signed_not_saved(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    say(access, study, "normal")

    with pytest.raises(ReviewRefused, match="Sign the change"):
        say(access, study, "abnormal", sign=False)


@pytest.mark.parametrize(
    "change", [{"verdict": "normal"}, {"comment": "x"}, {"signed_at": None}, {"is_current": True}]
)
def test_the_database_refuses_to_overwrite(clinic: Clinic, study: Study, change: dict[str, object]) -> None:
    access = make_access(clinic)
    old = say(access, study, "abnormal")
    say(access, study, "uncertain")

    with pytest.raises(IntegrityError, match="supersede it"), transaction.atomic():
        Review.objects.filter(pk=old.pk).update(**change)


def test_the_database_allows_one_current_review_a_reader(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    review = say(access, study)
    twin = Review(
        clinic=clinic,
        study=study,
        reader=access.user,
        kind=Review.Kind.FIRST,
        was_blind=False,
        verdict="normal",
    )

    with pytest.raises(IntegrityError, match="review_one_current_reading"), transaction.atomic():
        twin.save()
    assert Review.objects.get() == review


def test_a_stale_form_stores_nothing(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    draft = say(access, study, "normal", sign=False)
    say(access, study, "uncertain", sign=False)

    with pytest.raises(StaleReview, match="in the meantime"):
        store(access, study, Entry("abnormal"), supersedes=draft.pk)
    assert Review.objects.get(is_current=True).verdict == "uncertain"


def test_the_same_form_twice_is_one_review(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)

    first = store(access, study, Entry("normal", comment="Clear."))
    second = store(access, study, Entry("normal", comment="Clear."))

    assert first.review == second.review
    assert Review.objects.count() == 1
    assert AuditEvent.objects.filter(study_id=study.pk).count() == 1


def test_saving_what_is_saved_adds_nothing(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)
    assert say(access, study, "normal") == say(access, study, "normal")
    assert Review.objects.count() == 1


@pytest.mark.parametrize("role", [Role.UPLOADER, Role.ADMIN])
def test_only_readers_review(clinic: Clinic, study: Study, role: str) -> None:
    with pytest.raises(ReviewRefused, match="Only readers"):
        say(make_access(clinic, role), study)


def test_an_admin_who_also_reads_may(clinic: Clinic, study: Study) -> None:
    assert say(make_access(clinic, Role.ADMIN, Role.READER), study).is_signed


def test_another_clinics_study_and_a_deleted_one_are_the_same(clinic: Clinic, study: Study) -> None:
    stranger = make_access(make_clinic())
    with pytest.raises(StudyDeleted):
        store(stranger, study, Entry("normal"))

    access = make_access(clinic)
    Study.objects.filter(pk=study.pk).update(current=None)
    Study.objects.get(pk=study.pk).delete()
    with pytest.raises(StudyDeleted, match="deleted"):
        store(access, study, Entry("normal"))


def test_a_study_that_receives_views_is_not_reviewed(clinic: Clinic) -> None:
    with pytest.raises(ReviewRefused, match="still receiving images"):
        say(make_access(clinic), make_study(clinic, state=Study.State.OPEN))


def test_a_third_reader_settles_a_disagreement(clinic: Clinic, study: Study) -> None:
    first, second, third = (make_access(clinic) for _ in range(3))
    assert say(first, study, "normal").kind == Review.Kind.FIRST
    assert say(second, study, "abnormal").kind == Review.Kind.SECOND
    assert study.consensus.state == Consensus.State.DISAGREED

    for party in (first, second):
        with pytest.raises(ReviewRefused, match="nothing for you to decide"):
            say(party, study, "abnormal", adjudicates=True)
    adjudicates = say(third, study, "abnormal", adjudicates=True)

    assert adjudicates.kind == Review.Kind.ADJUDICATION
    study.consensus.refresh_from_db()
    assert (study.consensus.state, study.consensus.verdict) == (Consensus.State.ADJUDICATED, "abnormal")
    assert say(third, study, "normal", adjudicates=True).supersedes == adjudicates


def test_nobody_settles_where_readers_agree(clinic: Clinic, study: Study) -> None:
    say(make_access(clinic), study, "normal")

    with pytest.raises(ReviewRefused, match="nothing for you to decide"):
        say(make_access(clinic), study, "normal", adjudicates=True)


def test_the_admin_names_who_settles(clinic: Clinic, study: Study) -> None:
    first, second, third = (make_access(clinic) for _ in range(3))
    admin = make_access(clinic, Role.ADMIN)
    say(first, study, "normal")
    say(second, study, "abnormal")

    services.name_adjudicator(access=admin, study_id=study.pk, reader=second.user)

    with pytest.raises(ReviewRefused):
        say(third, study, "normal", adjudicates=True)
    say(second, study, "uncertain", adjudicates=True)
    study.consensus.refresh_from_db()
    assert (study.consensus.state, study.consensus.verdict) == (Consensus.State.ADJUDICATED, "uncertain")
    # Their own reading is still there.
    assert Review.objects.filter(study=study, reader=second.user, is_current=True).count() == 2
    assert AuditEvent.objects.filter(action=Action.ADJUDICATOR_NAMED, target_id=str(second.user.pk)).exists()


def test_only_an_admin_names_and_only_a_reader_is_named(clinic: Clinic, study: Study) -> None:
    first, second = make_access(clinic), make_access(clinic)
    admin = make_access(clinic, Role.ADMIN)
    with pytest.raises(ReviewRefused, match="no longer disagree"):
        services.name_adjudicator(access=admin, study_id=study.pk, reader=first.user)
    say(first, study, "normal")
    say(second, study, "abnormal")

    with pytest.raises(ReviewRefused, match="Only an admin"):
        services.name_adjudicator(access=first, study_id=study.pk, reader=second.user)
    for nobody in (admin.user, make_access(make_clinic()).user):
        with pytest.raises(ReviewRefused, match="not a reader"):
            services.name_adjudicator(access=admin, study_id=study.pk, reader=nobody)


def test_a_corrected_part_is_analysed_again_once(clinic: Clinic, study: Study) -> None:
    access = make_access(clinic)

    stored = store(access, study, Entry("abnormal", body_part="forearm"), sign=False)
    assert stored.analysis is not None
    assert (stored.analysis.forced_body_part, stored.analysis.requested_by) == ("forearm", access.user)
    again = store(access, study, Entry("abnormal", body_part="forearm"), supersedes=stored.review.pk)

    assert again.analysis is None
    assert Analysis.objects.filter(study=study, state=Analysis.State.QUEUED).count() == 1


def test_the_part_that_the_result_has_is_no_correction(clinic: Clinic, study: Study) -> None:
    assert store(make_access(clinic), study, Entry("abnormal", body_part="wrist")).analysis is None


def test_without_an_active_bundle_the_review_is_kept(clinic: Clinic, study: Study) -> None:
    Bundle.objects.update(is_active=False)

    stored = store(make_access(clinic), study, Entry("abnormal", body_part="forearm"))

    assert stored.problem
    assert stored.review.body_part == "forearm"


@pytest.mark.django_db(transaction=True)
def test_two_readers_at_once_are_first_and_second() -> None:
    clinic = make_clinic()
    study = make_study(clinic)
    make_analysis(study)
    accesses = [make_access(clinic) for _ in range(4)]

    def review(access: ClinicAccess) -> str:
        return store(access, study, Entry("normal")).review.kind

    assert sorted(at_once(review, accesses)) == ["first", "second", "second", "second"]
    consensus = Consensus.objects.get(study=study)
    assert (consensus.state, consensus.readers) == (Consensus.State.AGREED, 4)


@pytest.mark.django_db(transaction=True)
def test_one_reader_in_two_windows_keeps_the_first_and_hears_of_it() -> None:
    clinic = make_clinic()
    study = make_study(clinic)
    access = make_access(clinic)

    def review(verdict: str) -> str:
        try:
            store(access, study, Entry(verdict))
        except StaleReview:
            return "stale"
        return "stored"

    assert sorted(at_once(review, ["normal", "abnormal"])) == ["stale", "stored"]
    assert Review.objects.filter(study=study, is_current=True).count() == 1


def test_a_nonsense_predecessor_is_stale(clinic: Clinic, study: Study) -> None:
    with pytest.raises(StaleReview):
        store(make_access(clinic), study, Entry("normal"), supersedes=uuid.uuid4())
