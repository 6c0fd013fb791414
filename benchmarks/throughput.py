"""The whole deployed way beside the bare pipeline on the same cores: the cost of queue, rows and files."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import psutil

from benchmarks.load import Person, picture_form
from benchmarks.pictures import ordinary, varied
from benchmarks.processes import person, process, wait_for_workers, web
from benchmarks.registry import AS_A_WORKER, Row, UnmeasurableError, benchmark
from benchmarks.scratch import manage, scratch_portal
from benchmarks.timing import row

if TYPE_CHECKING:
    from xrayportal.analyses.models import Analysis
    from xrayportal.studies.models import Study

PICTURES = int(os.environ.get("BENCH_PICTURES", "200"))
WORKERS = (1, 2, 4)
SINGLES = 20
SECONDS = 300
SLUG = "throughput"


@benchmark("throughput", **AS_A_WORKER)
def throughput() -> Iterable[Row]:
    files, what = ordinary(PICTURES)
    with scratch_portal() as environment:
        os.environ.update(environment)
        import django

        django.setup()
        manage(environment, "create_clinic", "--blind-reading", "no", "--name", "Throughput", "--slug", SLUG)
        studies = ingest(files)
        passes, bare = _bare(files)
        yield row("bare passes", [passes], "1/s")
        yield row(f"bare pipeline, {what}, one at a time", [bare], "1/s")
        for count in WORKERS:
            with ExitStack() as stack:
                for _ in range(count):
                    stack.enter_context(process(environment, "worker"))
                wait_for_workers(count)
                before = _processor_seconds()
                rate = analyse(studies)
                spent = _processor_seconds() - before
            yield row(f"{count} worker{'s' if count > 1 else ''}", [rate], "1/s")
            share = 100 * rate / bare
            yield row("  share of the bare pipeline", [share], "%", at_least=85 if count == 1 else None)
            yield row("  share of the bare passes", [100 * rate / passes], "%")
            yield row("  processor time a study, servers and request included", [1000 * spent / len(studies)])
        with process(environment, "worker"), process(environment, "reconciler"), web(environment) as port:
            wait_for_workers()
            times = list(_singles(port))
        yield row("one picture through the idle portal, upload to verdict", times, p95_at_most=1000)


def _processor_seconds() -> float:
    """Of the processes that this one has started and that still run: servers, workers, decoders."""
    total = 0.0
    for started in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = started.cpu_times()
            total += times.user + times.system
    return total


def _bare(files: Sequence[bytes]) -> tuple[float, float]:
    """Passes a second of the network alone, and pictures a second of the pipeline, one at a time.

    What it makes is written nowhere.
    """
    import numpy as np

    from inference_worker.bundle import Bundle, find_bundle
    from inference_worker.decode import decode
    from inference_worker.pipeline import Pipeline
    from inference_worker.preprocess import as_batch, letterbox
    from inference_worker.runtimes import load_runtimes

    bundle = Bundle.load(find_bundle())
    runtimes = load_runtimes(bundle, precision="auto")
    pipeline = Pipeline(bundle, runtimes)
    size = bundle.manifest.input.size
    batches = [as_batch(letterbox(decode(data).pixels, size)[0][np.newaxis]) for data in files]
    for data in files[:8]:
        pipeline.analyse(data)
    network = runtimes[bundle.manifest.body_part_network.id]
    start = time.perf_counter()
    for batch in batches:
        network.infer(batch)
    middle = time.perf_counter()
    for data in files:
        pipeline.analyse(data)
    end = time.perf_counter()
    return len(files) / (middle - start), len(files) / (end - middle)


def ingest(files: Sequence[bytes]) -> list[Study]:
    """One study for each file, by the real intake; their analyses are called off."""
    from io import BytesIO

    from xrayportal.analyses.services import cancel_analysis
    from xrayportal.clinics.actors import Actor
    from xrayportal.clinics.models import Clinic, Membership, Role, User
    from xrayportal.intake.ingest import IncomingFile, ingest_file
    from xrayportal.intake.services import create_submission, finish_submission
    from xrayportal.studies.models import Study

    clinic = Clinic.objects.get(slug=SLUG)
    user = User.objects.create_user("sender@bench.example")
    Membership.objects.create(clinic=clinic, user=user, role=Role.UPLOADER)
    actor = Actor(user)
    submission = create_submission(clinic=clinic, actor=actor, queue="bulk", expected_files=len(files))
    for number, data in enumerate(files):
        incoming = IncomingFile(submission=submission, key=str(number), path=f"{number}.jpg", actor=actor)
        ingest_file(incoming, BytesIO(data))
    finish_submission(submission=submission, actor=actor)
    for analysis in _unfinished():
        cancel_analysis(analysis=analysis, actor=actor)
    return list(Study.objects.all())


def analyse(studies: Sequence[Study]) -> float:
    """Request an analysis of every study at once; studies a second from the first start to the last end."""
    from django.db import connection, transaction

    from xrayportal.analyses.models import Analysis
    from xrayportal.analyses.services import request_analysis

    with transaction.atomic():
        wanted = [request_analysis(study=study, queue="bulk").pk for study in studies]
    deadline = time.monotonic() + SECONDS
    while _unfinished():
        if time.monotonic() > deadline:
            raise UnmeasurableError(f"{len(_unfinished())} analyses are not done after {SECONDS} s")
        time.sleep(0.25)
    rows = Analysis.objects.filter(pk__in=wanted, state="succeeded")
    if rows.count() != len(wanted):
        raise UnmeasurableError(f"{len(wanted) - rows.count()} analyses failed")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM analyses_analysis"
            " WHERE id = ANY(%s)",
            [wanted],
        )
        return len(wanted) / float(cursor.fetchone()[0])


def _unfinished() -> list[Analysis]:
    from xrayportal.analyses.models import Analysis

    return list(Analysis.objects.unfinished())


def _singles(port: int) -> Iterator[float]:
    """Milliseconds from sending a picture to its verdict on the study's page, one after the other."""
    from django.db import connection
    from django.test import Client

    from xrayportal.clinics.actors import Actor
    from xrayportal.clinics.models import Clinic, User
    from xrayportal.intake.services import create_submission

    user = User.objects.get(email="sender@bench.example")
    browser = Client(headers={"host": "127.0.0.1"})
    browser.force_login(user)
    sender = person(port, browser)
    submission = create_submission(
        clinic=Clinic.objects.get(slug=SLUG), actor=Actor(user), queue="interactive", expected_files=0
    )
    connection.close()
    picture = varied()
    for number in range(SINGLES + 1):
        new = picture(secrets.randbits(60))
        milliseconds = _single(sender, f"/c/{SLUG}/submissions/{submission.pk}/uploads/", new)
        if number:  # the first one opens connections
            yield milliseconds


def _single(sender: Person, address: str, picture: bytes) -> float:
    connection = HTTPConnection("127.0.0.1", sender.port, timeout=30)
    body, media_type = picture_form(picture)
    headers = {**sender.headers, "Content-Type": media_type, "Accept": "application/json"}
    start = time.perf_counter()
    connection.request("POST", address, body, headers)
    answer = json.loads(connection.getresponse().read())
    if answer["outcome"] != "accepted":
        raise UnmeasurableError(f"the picture was {answer['outcome']}")
    address = f"{answer['study']}result/"
    deadline = start + 60
    while time.perf_counter() < deadline:
        connection.request(
            "GET", f"{answer['study']}result/", headers={**sender.headers, "HX-Request": "true"}
        )
        # The fragment stops asking for itself once the verdict is in it.
        if b'hx-trigger="every' not in connection.getresponse().read():
            connection.close()
            return (time.perf_counter() - start) * 1000
        time.sleep(0.02)
    raise UnmeasurableError("a picture had no verdict after a minute")
