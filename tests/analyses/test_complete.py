"""A claim whose result is stored: alone, or with others in one transaction."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.db.models import F
from django.utils import timezone

from tests.analyses.claims import Expire, actions, again, claimed, result_for
from tests.factories import make_analysis, make_bundle, make_study
from tests.threads import at_once
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.queue import steps
from xrayportal.analyses.queue.claims import claim_analyses
from xrayportal.analyses.services import request_analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import verify
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db


class TestComplete:
    def test_writes_result_findings_current_and_audit(self) -> None:
        claim = claimed(views=2)
        broken = claim.study.images.all()[1]
        assert steps.complete(claim=claim, result=result_for(claim, unreadable=(broken,)))
        row = again(claim)
        assert (row.state, row.verdict, row.body_part, row.probability) == (
            "succeeded",
            "abnormal",
            "wrist",
            0.9,
        )
        assert (row.views, row.runtime, row.precision) == (2, "openvino 1", "f32")
        assert row.unreadable == [
            {
                "image": str(broken.pk),
                "kind": "truncated",
                "file": "“view.png”",
                "sentence": "Could not read “view.png”. It ends too early.",
            }
        ]
        finding = Finding.objects.get(analysis=row)
        assert (finding.peak_x, finding.peak_y, finding.spacing) == (3, 4, [0.1, 0.1])
        assert Study.objects.get(pk=row.study_id).current == row
        assert actions() == [Action.ANALYSIS_REQUESTED, Action.ANALYSIS_SUCCEEDED]
        assert verify(clinic=row.clinic).is_whole

    def test_a_late_answer_changes_nothing(self, expire: Expire, caplog: pytest.LogCaptureFixture) -> None:
        claim = claimed()
        expire(claim)
        assert steps.requeue_expired() == 1
        assert not steps.complete(claim=claim, result=result_for(claim))
        assert "Late answer" in caplog.text
        row = again(claim)
        assert (row.state, row.verdict) == ("queued", "")
        (second,) = claim_analyses(worker="other", limit=1)
        assert not steps.complete(claim=claim, result=result_for(claim)), (
            "the second attempt runs, not the first"
        )
        assert steps.complete(claim=second, result=result_for(second))
        assert not steps.complete(claim=second, result=result_for(second)), "once is enough"
        assert Finding.objects.count() == 1

    def test_of_a_deleted_study_is_ignored(self) -> None:
        claim = claimed()
        result = result_for(claim)
        Study.objects.get(pk=claim.study_id).delete()
        assert not steps.complete(claim=claim, result=result)

    def test_an_older_request_does_not_replace_a_newer_result(self) -> None:
        claim = claimed()
        newer = make_analysis(claim.study, requested_at=timezone.now() + timedelta(hours=1))
        assert steps.complete(claim=claim, result=result_for(claim))
        assert Study.objects.get(pk=claim.study_id).current == newer

    def test_a_shadow_is_never_the_current_result(self) -> None:
        make_bundle()
        request_analysis(study=make_study(), purpose=Analysis.Purpose.SHADOW)
        (claim,) = claim_analyses(worker="w", limit=1)
        assert steps.complete(claim=claim, result=result_for(claim))
        assert Study.objects.get(pk=claim.study_id).current is None

    @pytest.mark.django_db(transaction=True)
    def test_two_answers_at_once_count_once(self) -> None:
        claim = claimed()
        result = result_for(claim)
        answers = at_once(lambda _: steps.complete(claim=claim, result=result), range(4))
        assert sorted(answers) == [False, False, False, True]
        assert Finding.objects.count() == 1


class TestCompleteAll:
    def test_of_two_results_of_a_study_the_newer_request_counts(self) -> None:
        study = make_study()
        make_bundle()
        for part in ("wrist", ""):
            request_analysis(study=study, forced_body_part=part)
        older, newer = Analysis.objects.order_by("requested_at")
        Analysis.objects.filter(pk=older.pk).update(requested_at=F("requested_at") - timedelta(hours=1))
        claims = claim_analyses(worker="w", limit=2)
        assert steps.complete_all([(claim, result_for(claim)) for claim in claims]) == {older.pk, newer.pk}
        assert Study.objects.get().current == newer
        assert Finding.objects.count() == 2
        assert verify(clinic=study.clinic).is_whole

    def test_writes_what_one_by_one_would(self) -> None:
        """The same columns, whichever way; only ids and times differ."""
        single, other = claimed(views=2), claimed(views=2)
        broken = [claim.study.images.all()[1] for claim in (single, other)]
        assert steps.complete(claim=single, result=result_for(single, unreadable=(broken[0],)))
        done = steps.complete_all([(other, result_for(other, unreadable=(broken[1],)))])
        assert done == {other.pk}
        own = (
            "id",
            "clinic_id",
            "study_id",
            "requested_at",
            "not_before",
            "started_at",
            "finished_at",
            "unreadable",
        )
        rows = [Analysis.objects.filter(pk=claim.pk).values().get() for claim in (single, other)]
        assert [{**row, **dict.fromkeys(own)} for row in rows] == [{**rows[0], **dict.fromkeys(own)}] * 2
        assert all(row["finished_at"] > row["started_at"] for row in rows)

    @pytest.mark.django_db(transaction=True)
    def test_leaves_what_somebody_holds_and_does_not_wait(self) -> None:
        first, second = claimed(), claimed()
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            Study.objects.select_for_update().get(pk=first.study_id)

            def rival() -> set[uuid.UUID]:
                try:
                    return steps.complete_all([(claim, result_for(claim)) for claim in (first, second)])
                finally:
                    connections.close_all()

            assert pool.submit(rival).result(timeout=10) == {second.pk}
        assert [again(claim).state for claim in (first, second)] == ["running", "succeeded"]
        assert steps.complete_all([(claim, result_for(claim)) for claim in (first, second)]) == {first.pk}
