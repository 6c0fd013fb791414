"""What can go wrong around a claim: mistakes, memory, time, hung decoders, the database."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError

from inference_worker.celery_worker import batch
from inference_worker.celery_worker import study as study_module
from inference_worker.celery_worker.files import load_image
from inference_worker.celery_worker.worker import InferenceWorker
from inference_worker.pipeline import Pipeline
from inference_worker.types import Decoded
from inference_worker.verdict import judge_study
from tests.factories import png
from tests.inference_worker.celery_worker.studies import BROKEN, picture, study_of
from tests.waiting import PATIENCE
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue import steps
from xrayportal.analyses.queue.claims import has_due
from xrayportal.analyses.services import cancel_analysis
from xrayportal.celery import SOFT_SECONDS
from xrayportal.clinics.actors import PORTAL
from xrayportal.embedded.processes import wait_until
from xrayportal.studies.models import Image

pytestmark = pytest.mark.django_db


def test_one_bad_file_spoils_no_neighbour(worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken, not in the storage, or hitting a mistake of ours: only their own analyses end otherwise."""
    prepare = Pipeline._prepare

    def mistaken(self: Pipeline, data: bytes, decoded: Decoded) -> Any:
        if b"mistake" in data:
            raise RuntimeError("quotes the file: mistake")
        return prepare(self, data, decoded)

    monkeypatch.setattr(Pipeline, "_prepare", mistaken)
    good = study_of(picture(0))
    broken = study_of(BROKEN)
    missing = study_of(picture(1))
    default_storage.delete(missing.images.get().file)
    mistake = study_of(png() + b"mistake")
    last = study_of(picture(2))
    while has_due():
        worker.work()
    states = {study: Analysis.objects.get(study=study) for study in (good, broken, missing, mistake, last)}
    assert states[good].state == states[last].state == "succeeded"
    assert states[broken].state == "failed"
    assert states[missing].state == "queued"
    assert states[missing].attempt == 1, "it pauses before it is tried again"
    assert (states[mistake].state, states[mistake].error_kind) == ("failed", "unexpected")
    assert states[mistake].crashes_alone == steps.CRASHES_ALONE
    assert "mistake" not in states[mistake].error_sentence


def test_the_log_of_a_mistake_quotes_no_message(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quoted = "PatientName Jane"

    def mistaken(*_: Any) -> None:
        raise ValueError(quoted)

    monkeypatch.setattr(Pipeline, "_prepare", mistaken)
    study_of(picture())
    worker.work()
    assert "ValueError" in caplog.text
    assert "in mistaken" in caplog.text
    assert "Jane" not in caplog.text


@pytest.mark.parametrize("alone", [True, False])
def test_out_of_memory_is_not_tried_again_where_nobody_else_took_it(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    def greedy(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Pipeline, "_infer", greedy)
    for number in range(1 if alone else 2):
        study_of(picture(number))
    worker.work()
    expected = ("failed", "out_of_memory") if alone else ("queued", "")
    assert set(Analysis.objects.values_list("state", "error_kind")) == {expected}


def test_out_of_time_alone_is_not_tried_again(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of(picture(0), picture(1))
    end_time_after(1, monkeypatch)
    worker.work()
    row = Analysis.objects.get()
    assert (row.state, row.error_kind, row.attempt) == ("failed", "too_slow", 1)


def test_out_of_time_gives_back_what_was_not_begun(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is under way is still written; the study that lacks a view is tried again, alone."""
    studies = [study_of(picture(number), picture(number + 1)) for number in range(3)]
    end_time_after(3, monkeypatch)
    worker.work()
    rows = [Analysis.objects.get(study=study) for study in studies]
    assert [(row.state, row.attempt) for row in rows] == [("succeeded", 1), ("queued", 1), ("queued", 1)]
    assert {row.crashes_alone for row in rows} == {0}
    assert caplog.text.count("ran out of time") == 1
    assert f"{rows[1].pk} ran out of time" in caplog.text


def test_a_picture_that_decodes_beyond_the_time_of_its_batch_is_given_up(
    strange: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strange.decoder, "limits", replace(strange.decoder.limits, seconds=100))
    end_time_after(1, monkeypatch)
    study_of(png() + b"hang")
    strange.work()
    row = Analysis.objects.get()
    assert (row.state, row.error_kind) == ("failed", "too_slow")


def test_a_picture_that_hangs_its_decoder_is_given_up_and_the_next_one_is_analysed(
    strange: InferenceWorker,
) -> None:
    hung, good = study_of(picture(0), png() + b"hang"), study_of(picture(1))
    strange.work()
    row = Analysis.objects.get(study=hung)
    assert (row.state, row.attempt, [view["kind"] for view in row.unreadable]) == (
        "succeeded",
        1,
        ["too_slow"],
    )
    assert Analysis.objects.get(study=good).state == "succeeded"


def test_after_three_slow_views_the_others_are_not_tried(strange: InferenceWorker) -> None:
    """Two more were under way when the third one was given up."""
    study_of(*(png() + b"hang" * number for number in range(1, 4)), *(picture(number) for number in range(6)))
    strange.work()
    row = Analysis.objects.get()
    assert (row.state, row.views, len(row.unreadable)) == ("succeeded", 9, 7)
    assert "It was not decoded, since 3 other views" in row.unreadable[-1]["sentence"]


@pytest.mark.django_db(transaction=True)
def test_calling_off_frees_a_worker_whose_decoder_hangs(
    strange: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of(png() + b"hang")
    monkeypatch.setattr(strange.decoder, "limits", replace(strange.decoder.limits, seconds=100))
    worker = threading.Thread(target=strange.work)
    worker.start()
    assert wait_until(Analysis.objects.filter(state="running").exists, seconds=PATIENCE)
    cancel_analysis(analysis=Analysis.objects.get(), actor=PORTAL)
    worker.join(PATIENCE)
    assert not worker.is_alive()
    assert Analysis.objects.get().state == "cancelled"


def test_a_result_that_the_database_refuses_counts_as_a_mistake(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not as a dead process: the worker lives, and nobody waits for a lease."""
    study = study_of(picture(0))

    def not_a_number(*arguments: Any, **options: Any) -> Any:
        return replace(judge_study(*arguments, **options), body_parts={"wrist": float("nan")})

    monkeypatch.setattr(study_module, "judge_study", not_a_number)
    while has_due():
        worker.work()
    row = Analysis.objects.get(study=study)
    assert (row.state, row.error_kind, row.crashes_alone) == ("failed", "unexpected", steps.CRASHES_ALONE)
    assert "NaN" not in caplog.text


def test_without_a_database_the_lease_decides(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> bool:
        raise OperationalError("gone")

    monkeypatch.setattr(steps, "complete", away)
    monkeypatch.setattr(batch.connection, "close", lambda: None)  # the test's transaction lives in it
    study_of(picture(0))
    worker.work()
    assert Analysis.objects.get().state == "running"


def end_time_after(views: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch's time be over when so many views were fetched, however long that takes."""
    fetched: list[object] = []

    def load(image: Image) -> bytes:
        fetched.append(image)
        return load_image(image)

    monkeypatch.setattr(batch, "load_image", load)
    monkeypatch.setattr(batch, "monotonic", lambda: SOFT_SECONDS + 1 if len(fetched) >= views else 0.0)
