"""The portal with 100,000 studies: pages, polls, uploads, and many people at once.

Every promise is a multiple of the reference view (`benchmarks.reference`), measured in turns with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.load import Answers, Poll, poll, together, upload
from benchmarks.pictures import varied
from benchmarks.processes import person, process, wait_for_workers, web
from benchmarks.registry import Row, UnmeasurableError, benchmark
from benchmarks.scratch import manage, scratch_portal
from benchmarks.timing import row

if TYPE_CHECKING:
    from django.test import Client

    from benchmarks.reference import Measured, Reference

STUDIES = int(os.environ.get("BENCH_STUDIES", "100000"))
SLUG = "scale"
ROUNDS = 20
POLLERS, UPLOADERS, LOAD_SECONDS = 100, 5, 30
#: Before that, uncounted: processes that have just started open their connections and read their templates.
WARM_SECONDS = 5
#: Every filter, order and list of the worklist, and pages far down.
WORKLIST = (
    "list=all",
    "list=all&page=2",
    "list=all&page=150",
    "verdict=abnormal",
    "verdict=unsupported",
    "verdict=normal&page=100",
    "body_part=wrist",
    "body_part=wrist&verdict=uncertain",
    "state=open",
    "state=queued",
    "state=done&page=50",
    "state=failed",
    "q=NH-0123",
    "q=IMG0000123",
    "q=4711",
    "sort=urgency",
    "sort=urgency&page=50",
    "sort=oldest",
    "sort=body_part",
    "sort=submission",
    "list=unread",
    "list=mine",
    "list=review",
    "list=disagreements",
)


@benchmark("portal")
def portal() -> Iterable[Row]:
    with scratch_portal() as environment:
        os.environ.update(environment)
        import django

        django.setup()
        manage(environment, "create_clinic", "--blind-reading", "no", "--name", "Scale", "--slug", SLUG)
        clock = time.perf_counter()
        manage(environment, "seed_studies", "--clinic", SLUG, "--studies", str(STUDIES), "--waiting", "40")
        seeded = [(time.perf_counter() - clock) * 1000]
        _vacuum()
        people = _people()

        from benchmarks.reference import Measured, Reference, reference_routed
        from xrayportal.studies.models import Study

        with reference_routed():
            reference = Reference(people["reader"], Study.objects.order_by("created_at")[0].pk)
            looks = reference.looks(ROUNDS * 5)
            yield row("the reference", looks)
            yield from Measured.against(seeded, looks).rows(f"seeding {STUDIES:,} studies", at_most=180_000)
            yield from _pages(people, reference)
            yield from _polls(people, reference)
            yield from _ingest(reference)
            yield from _load(environment, people, reference)


def _vacuum() -> None:
    """Vacuum as autovacuum does within minutes of such a load."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _people() -> dict[str, Client]:
    """A signed-in browser for each role; the seeded uploader sent everything, which is the hardest case."""
    from django.test import Client

    from xrayportal.clinics.models import Clinic, Membership, Role, User

    clinic = Clinic.objects.get(slug=SLUG)
    users = {
        Role.ADMIN: User.objects.create_user("admin@bench.example"),
        Role.READER: User.objects.get(email=f"reader-0.{SLUG}@seed.example"),
        Role.UPLOADER: User.objects.get(email=f"uploader-0.{SLUG}@seed.example"),
    }
    browsers = {}
    for role, user in users.items():
        Membership.objects.create(clinic=clinic, user=user, role=role)
        browsers[role.value] = Client(headers={"host": "127.0.0.1"})
        browsers[role.value].force_login(user)
    return browsers


def _pages(people: dict[str, Client], reference: Reference) -> Iterator[Row]:
    from django.urls import reverse

    from benchmarks.reference import Measured
    from xrayportal.analyses.models import Bundle
    from xrayportal.studies.models import Study, Submission

    worklist = reverse("worklist", args=[SLUG])
    for role in ("reader", "uploader"):
        queries = [f"{worklist}?{query}" for query in WORKLIST]
        times = {address: _times(people[role], [address], ROUNDS, reference) for address in queries}
        slowest = max(times, key=lambda address: sorted(times[address].multiples)[-2])
        everything = Measured.together(list(times.values()))
        yield from everything.rows(f"worklist, {role}, {len(queries)} addresses", p95_at_most=100)
        yield from times[slowest].rows(f"  slowest: ?{slowest.partition('?')[2]}")
    spread = Study.objects.filter(current__isnull=False).order_by("created_at")
    step = max(1, spread.count() // ROUNDS)
    studies = [reverse("study", args=[SLUG, pk]) for pk in spread.values_list("pk", flat=True)[::step]]
    for role in ("reader", "uploader"):
        yield from _times(people[role], studies, 3, reference).rows(f"study page, {role}", p95_at_most=60)
    largest, active = Submission.objects.order_by("-expected_files")[0], Bundle.objects.get(is_active=True)
    others = {
        "submissions": reverse("submissions", args=[SLUG]),
        "submission of hundreds, a late page": reverse("submission", args=[SLUG, largest.pk]) + "?page=5",
        "history": reverse("history", args=[SLUG]),
        "history, filtered": reverse("history", args=[SLUG]) + "?verdict=abnormal&body_part=wrist",
        "history of a field of the matrix": reverse("history", args=[SLUG])
        + f"?bundle={active.pk}&verdict=abnormal&readers=normal",
        "disagreements": reverse("disagreements", args=[SLUG]),
        "scorecard": reverse("scorecard", args=[SLUG]),
        "clinic operations": reverse("clinic-operations", args=[SLUG]),
    }
    for what, address in others.items():
        aim = 500 if what == "scorecard" else 100 if what.startswith("history") else None
        yield from _times(people["admin"], [address], ROUNDS, reference).rows(what, p95_at_most=aim)


def _polls(people: dict[str, Client], reference: Reference) -> Iterator[Row]:
    """Idle polls as the pages write them, with the queries of each."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from benchmarks.reference import Measured

    for what, page in _open_pages(people["reader"]).items():
        address, times, looks, counts = page.address, [], [], []
        for _ in range(ROUNDS * 3):
            looks.append(reference.look())
            start = time.perf_counter()
            response = people["reader"].get(address, headers={"HX-Request": "true"})
            times.append((time.perf_counter() - start) * 1000)
            # The worklist looks again once a minute.
            assert response.status_code == 204 or what == "worklist", f"{response.status_code} {address}"
        yield from Measured.against(times, looks).rows(f"idle poll, {what}", p95_at_most=5)
        for _ in range(3):
            with CaptureQueriesContext(connection) as queries:
                people["reader"].get(address, headers={"HX-Request": "true"})
            counts.append(float(len(queries)))
        yield row(f"  its queries, {what}", counts, "", at_most=2)


def _open_pages(browser: Client) -> dict[str, Poll]:
    """Polls that find nothing new, as the pages themselves write them."""
    import re
    from datetime import timedelta

    from django.urls import reverse
    from django.utils import timezone

    from xrayportal.analyses.models import Analysis

    running = Analysis.objects.unfinished().order_by("pk")[0]
    # A waiting study shows its place anew every few seconds; a running one answers 204.
    now = timezone.now()
    running.state, running.started_at, running.leased_until = "running", now, now + timedelta(hours=1)
    running.save()
    study, worklist = reverse("study", args=[SLUG, running.study_id]), reverse("worklist", args=[SLUG])
    (result,) = re.findall(r'id="study-result"[^>]* hx-get="([^"]+)"', browser.get(study).content.decode())
    (seen,) = re.findall(r'data-seen="([^"]*)"', browser.get(worklist).content.decode())
    return {
        "study": Poll(result.replace("&amp;", "&"), seconds=1),
        "worklist": Poll(f"{worklist}?seen={seen}", seconds=5),
    }


def _ingest(reference: Reference) -> Iterator[Row]:
    """One 40 kB JPEG after the other, each flushed to the disk and stored with its audit."""
    from django.core.files.base import ContentFile

    from benchmarks.reference import Measured
    from xrayportal.clinics.actors import PORTAL
    from xrayportal.clinics.models import Clinic
    from xrayportal.intake.ingest import IncomingFile, ingest_file
    from xrayportal.intake.services import create_submission

    submission = create_submission(
        clinic=Clinic.objects.get(slug=SLUG), actor=PORTAL, queue="bulk", expected_files=0
    )
    picture, times, looks = varied(), [], []
    for number in range(100):
        looks.append(reference.look())
        content = ContentFile(picture(number))
        start = time.perf_counter()
        ingest_file(
            IncomingFile(
                submission=submission,
                key=str(number),
                grouping_key=f"bench-{number}",
                actor=PORTAL,
                path="view.jpg",
            ),
            content,
        )
        times.append((time.perf_counter() - start) * 1000)
    yield from Measured.against(times, looks).rows("ingest of a 40 kB JPEG", at_most=25)


def _load(environment: dict[str, str], people: dict[str, Client], reference: Reference) -> Iterator[Row]:
    """100 pollers and 5 uploaders against gunicorn as the Procfile starts it, while a worker analyses."""
    from django.db import connection
    from django.urls import reverse

    from benchmarks.reference import Measured
    from xrayportal.analyses.models import Analysis
    from xrayportal.clinics.actors import Actor
    from xrayportal.clinics.models import Clinic, User
    from xrayportal.intake.services import create_submission

    uploader = User.objects.get(email=f"uploader-0.{SLUG}@seed.example")
    pages = list(_open_pages(people["reader"]).values())
    uploads = [
        create_submission(
            clinic=Clinic.objects.get(slug=SLUG),
            actor=Actor(uploader),
            queue="bulk",
            expected_files=0,
        )
        for _ in range(UPLOADERS)
    ]
    addresses = [reverse("submission-uploads", args=[SLUG, submission.pk]) for submission in uploads]
    # Before the load, which would slow it as well: what many at once wait is held against an idle portal.
    looks = reference.looks(ROUNDS * 5)
    connection.close()
    with ExitStack() as stack:
        port = stack.enter_context(web(environment))
        stack.enter_context(process(environment, "worker"))
        wait_for_workers()
        reader, sender = (person(port, people[role]) for role in ("reader", "uploader"))
        picture, since = varied(), time.monotonic() + WARM_SECONDS
        answers, end = Answers(since), since + LOAD_SECONDS
        before = Analysis.objects.filter(state="succeeded").count()
        together(
            [partial(poll, reader, pages[n % len(pages)], end, answers, n) for n in range(POLLERS)]
            + [partial(upload, sender, address, picture, end, answers) for address in addresses]
        )
        done = Analysis.objects.filter(state="succeeded").count() - before
    if answers.refused:
        raise UnmeasurableError(f"{len(answers.refused)} requests failed, the first: {answers.refused[0]}")
    polls, taken = Measured.against(answers.polls, looks), Measured.against(answers.uploads, looks)
    yield from polls.rows(f"{POLLERS} pollers, beside {UPLOADERS} uploaders", p95_at_most=150)
    yield from taken.rows(f"{UPLOADERS} uploaders, beside {POLLERS} pollers", p95_at_most=150)
    yield row("  files taken meanwhile", [len(answers.uploads) / LOAD_SECONDS], "1/s")
    yield row("  studies analysed meanwhile", [done / (WARM_SECONDS + LOAD_SECONDS)], "1/s")


def _times(browser: Client, addresses: list[str], rounds: int, reference: Reference) -> Measured:
    """Server time, middleware, database and template included; each in turn with the reference."""
    from benchmarks.reference import Measured

    times, looks = [], []
    for number in range(rounds + 1):
        for address in addresses:
            looks.append(reference.look())
            start = time.perf_counter()
            response: Any = browser.get(address)
            times.append((time.perf_counter() - start) * 1000)
            assert response.status_code == 200, f"{response.status_code} {address}"
        if number == 0:  # first looks are left out
            times.clear()
            looks.clear()
    return Measured.against(times, looks)
