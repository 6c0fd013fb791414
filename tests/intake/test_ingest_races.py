"""Several senders at the same moment: real threads on a real database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from pydicom.uid import generate_uid

from tests.factories import (
    dicom,
    make_bundle,
    make_clinic,
    make_submission,
    make_user,
    png,
)
from tests.house import only_study, take
from tests.threads import at_once
from xrayportal.analyses.models import Analysis
from xrayportal.audit.services import verify
from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.models import Role
from xrayportal.intake import services
from xrayportal.intake.ingest import SubmissionClosedError
from xrayportal.studies.models import Image, Study, Upload


def all_at_once(functions: list[Callable[[], Any]]) -> list[Any]:
    return at_once(lambda function: function(), functions)


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """Real threads on a real database."""

    def test_identical_files_at_once_are_one_image(self) -> None:
        make_bundle()
        clinic = make_clinic()
        submissions = [make_submission(clinic) for _ in range(6)]
        uploads = all_at_once([lambda s=s: take(s, png()) for s in submissions])  # type: ignore[misc]
        assert sorted(upload.outcome for upload in uploads) == ["accepted"] + ["duplicate"] * 5
        assert (Image.objects.count(), Study.objects.count(), Analysis.objects.count()) == (1, 1, 1)
        # In the study of whoever was first, and in every other's as one from elsewhere.
        study = only_study()
        elsewhere = dict(Upload.objects.values_list("submission", "elsewhere"))
        assert elsewhere == {sent.pk: sent.pk != study.submission_id for sent in submissions}
        assert verify(clinic=clinic).is_whole

    def test_a_cancelled_picture_sent_by_many_at_once_is_of_one_of_them(self) -> None:
        make_bundle()
        clinic = make_clinic()
        cancelled, *others = (make_submission(clinic) for _ in range(5))
        take(cancelled, png())
        services.cancel_submission(submission=cancelled, actor=PORTAL)
        all_at_once([lambda s=s: take(s, png()) for s in others])  # type: ignore[misc]
        study = only_study()
        assert study.submission in others
        elsewhere = dict(Upload.objects.values_list("submission", "elsewhere"))
        assert elsewhere == {sent.pk: sent != study.submission for sent in [cancelled, *others]}
        assert study.analyses.filter(state="queued").count() == 1

    def test_one_key_at_once_is_one_upload(self) -> None:
        make_bundle()
        submission = make_submission(make_clinic())
        uploads = all_at_once([lambda: take(submission, png()) for _ in range(6)])
        assert len({upload.pk for upload in uploads}) == 1
        assert Upload.objects.count() == 1

    def test_first_views_of_a_study_at_once_are_one_study(self) -> None:
        make_bundle()
        clinic, uid = make_clinic(), generate_uid()
        files = [dicom(study_uid=uid, shade=shade) for shade in range(6)]
        sender = make_user(clinic, Role.UPLOADER)
        submissions = [make_submission(clinic, sender) for _ in files]
        all_at_once([lambda s=s, f=f: take(s, f) for s, f in zip(submissions, files, strict=True)])  # type: ignore[misc]
        assert (Study.objects.count(), Image.objects.count()) == (1, 6)

    def test_first_views_of_several_senders_at_once_are_a_study_each(self) -> None:
        make_bundle()
        clinic, uid = make_clinic(), generate_uid()
        files = [dicom(study_uid=uid, shade=shade) for shade in range(6)]
        submissions = [make_submission(clinic) for _ in files]
        all_at_once([lambda s=s, f=f: take(s, f) for s, f in zip(submissions, files, strict=True)])  # type: ignore[misc]
        assert sorted(Study.objects.values_list("part", flat=True)) == [1, 2, 3, 4, 5, 6]
        assert Image.objects.count() == 6

    def test_files_and_the_end_at_once(self) -> None:
        make_bundle()
        submission = make_submission(make_clinic())

        def send(number: int) -> str:
            try:
                return take(
                    submission, png(shade=number), key=f"k{number}", grouping_key=f"g{number % 2}"
                ).outcome
            except SubmissionClosedError:
                return "closed"

        def end() -> str:
            services.finish_submission(submission=submission, actor=PORTAL)
            return "ended"

        outcomes = all_at_once([*(lambda n=n: send(n) for n in range(6)), end])  # type: ignore[misc]
        assert set(outcomes) <= {"accepted", "closed", "ended"}
        assert Upload.objects.count() == outcomes.count("accepted")
        for study in services.studies_due():
            services.try_to_seal(study=study, actor=PORTAL)
        assert not Study.objects.open().exists()
        assert verify(clinic=submission.clinic).is_whole

    def test_no_lock_is_left_behind(self) -> None:
        make_bundle()
        submission = make_submission(make_clinic())
        take(submission, png())
        take(submission, b"text", key="bad")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert cursor.fetchone() == (0,)
