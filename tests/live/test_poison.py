"""A file that kills or hangs its reader ends failed, and spoils nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.live.conftest import Portal, states, until
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.studies.models import Submission

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

Submit = Callable[..., Submission]


def test_a_poisoned_file_fails_and_its_neighbours_succeed(portal: Portal, submit: Submit) -> None:
    portal.reconciler()
    portal.worker(STRANGE_POISON="kills its reader")
    submit(8, marked={2: b"kills its reader"})
    until(lambda: states() == {"succeeded": 7, "failed": 1})
    failed = Analysis.objects.get(state="failed")
    assert failed.study.images.get().uploads.get().filename == "view_2.tif"
    assert failed.error_sentence == "The worker process died 3 times on this file."
    assert failed.crashes_alone == 3
    assert not Analysis.objects.filter(state="succeeded", crashes_alone__gt=0).exists()
    assert AuditEvent.objects.filter(action=Action.ANALYSIS_FAILED).count() == 1


def test_a_hung_decoder_loses_its_lease_at_the_hard_limit(portal: Portal, submit: Submit) -> None:
    portal.reconciler(TASK_HARD_SECONDS="3")
    portal.worker(STRANGE_HANG="never comes back", TASK_HARD_SECONDS="3", XRAY_BATCH="2")
    submit(4, marked={1: b"never comes back"})
    until(lambda: states() == {"succeeded": 3, "failed": 1})
    assert Analysis.objects.get(state="failed").crashes_alone == 3
