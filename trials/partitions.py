"""Findings and audit events in one table each, and in partitions by month, under many more rows.

Seeds a portal of its own with 100,000 studies and times six operations: a page of the worklist, a study's
page and history, an idle poll, a claim, an audit event. Then findings and events become tables partitioned
by month, ``--rows`` made-up rows are added to the months before, and the same operations are timed again, in
the same run. The portal's own schema stays as it is: docs/capacity.md says when it must change.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.scratch import manage, scratch_portal
from xrayportal.embedded.postgres import OWNER

if TYPE_CHECKING:
    from django.test import Client

SLUG = "partitions"
MONTHS = 24
ROUNDS = 40
#: What each partition is indexed by. Events are parted by their time, findings by a column of its own.
FINDING, EVENT = "analyses_finding", "audit_auditevent"
INDEXES = {
    FINDING: ("(analysis_id) INCLUDE (ood_distance, width, height)", "(image_id)", "(id)"),
    EVENT: ("(study_id, id)", "(clinic_id, action, id)", "(clinic_id, number)", "(id)"),
}


def main() -> int:
    """Exit status 0; the table says how it went."""
    parser = argparse.ArgumentParser(prog="python -m trials.partitions", description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=20_000_000, help="made-up rows, half of each table")
    options = parser.parse_args()
    with scratch_portal() as environment:
        os.environ.update(environment)
        import django

        django.setup()
        manage(environment, "create_clinic", "--blind-reading", "no", "--name", "Partitions", "--slug", SLUG)
        seed = ("--studies", str(options.studies), "--waiting", "400")
        manage(environment, "seed_studies", "--clinic", SLUG, *seed)
        _owner(environment)
        _execute("VACUUM ANALYZE")
        before = _measure()
        start = time.monotonic()
        _partition(options.rows // 2)
        seconds = time.monotonic() - start
        after = _measure()
        size = _execute("SELECT pg_size_pretty(pg_database_size(current_database()))")[0][0]
    print(f"{options.rows:,} rows were added in {seconds:.0f} s; the database is {size}\n")
    print(f"{'operation':<24}{'before':>10}{'after':>10}{'ratio':>8}")
    for name in before:
        ratio = after[name] / before[name]
        print(f"{name:<24}{before[name]:>7.2f} ms{after[name]:>7.2f} ms{ratio:>8.2f}")
    return 0


def _owner(environment: dict[str, str]) -> None:
    """Become the database's owner: the portal's role may not change tables."""
    from django.db import connection

    connection.close()
    (password,) = Path(environment["VAR_DIR"]).resolve().rglob("owner-password")
    connection.settings_dict.update(USER=OWNER, PASSWORD=password.read_text())


def _measure() -> dict[str, float]:
    """Milliseconds of each operation."""
    from django.db import transaction
    from django.test import Client
    from django.urls import reverse

    from xrayportal.analyses.models import Analysis
    from xrayportal.analyses.queue.claims import claim_analyses
    from xrayportal.audit.models import Action
    from xrayportal.audit.services import record
    from xrayportal.clinics.actors import Actor
    from xrayportal.clinics.models import Clinic, Membership, Role, User
    from xrayportal.studies.models import Study

    reader = User.objects.get(email=f"reader-0.{SLUG}@seed.example")
    browser = Client(headers={"host": "127.0.0.1"})
    browser.force_login(reader)
    clinic = Clinic.objects.get(slug=SLUG)
    Membership.objects.get_or_create(clinic=clinic, user=reader, role=Role.READER)
    study = Study.objects.filter(clinic=clinic, current__isnull=False).order_by("pk")[500]
    pages = {
        "worklist": reverse("worklist", args=[SLUG]),
        "study page": reverse("study", args=[SLUG, study.pk]),
        "history of a study": reverse("study-history", args=[SLUG, study.pk]),
    }
    seen = browser.get(reverse("study-result", args=[SLUG, study.pk])).content.decode()
    pages["idle poll"] = html.unescape(re.search(r'hx-get="([^"]+\?seen=[^"]+)"', seen)[1])  # type: ignore[index]

    def event() -> None:
        record(clinic=clinic, action=Action.EXPORTED, actor=Actor(reader), detail={"kind": "trial"})

    def claim() -> None:
        with transaction.atomic():
            claim_analyses(worker="trial", limit=4)

    times = {name: _usual(partial(_look, browser, address)) for name, address in pages.items()}
    own = {"claim of four": _usual(claim), "audit event": _usual(event)}
    # Reads neither table: what differs here differs by what else the machine does.
    return {**times, **own, "control": _usual(lambda: Analysis.objects.filter(clinic=clinic).count())}


def _look(browser: Client, address: str) -> None:
    status = browser.get(address).status_code
    if status not in (200, 204):
        raise RuntimeError(f"{status} {address}")


def _usual(run: Callable[[], object]) -> float:
    """The first quartile of some runs, which other load of the machine moves less than the median."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.quantiles(times[5:], n=4)[0]


def _partition(rows: int) -> None:
    """Let both tables be partitioned by month, and add ``rows`` to each, all in months that are over."""
    _replace(FINDING, "month", ", month date NOT NULL DEFAULT date_trunc('month', now())::date")
    _replace(EVENT, "at", "")
    month = f"date_trunc('month', now()) - make_interval(months => 1 + n % {MONTHS - 1})"
    random = "gen_random_uuid()"
    _add(FINDING, rows, {"id": random, "analysis_id": random, "image_id": random, "month": month})
    _add(EVENT, rows, {"id": "n", "number": "1000000000 + n", "study_id": random, "at": month})
    _execute(f"ANALYZE {FINDING}")
    _execute(f"ANALYZE {EVENT}")


def _replace(table: str, key: str, column: str) -> None:
    """Put a partitioned table into the place of this one, with its rows and triggers."""
    triggers = _execute(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal",
        [table],
    )
    _execute(f"ALTER TABLE {table} RENAME TO {table}_old")
    _execute(
        f"CREATE TABLE {table} (LIKE {table}_old INCLUDING DEFAULTS INCLUDING IDENTITY{column})"
        f" PARTITION BY RANGE ({key})"
    )
    for number in range(MONTHS + 1):
        first = f"date_trunc('month', now()) - make_interval(months => {MONTHS - 1 - number})"
        bounds = _execute(f"SELECT ({first})::date::text, ({first} + interval '1 month')::date::text")[0]
        part = f"CREATE TABLE {table}_{number} PARTITION OF {table}"
        _execute(f"{part} FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')")
    columns = ", ".join(_columns(f"{table}_old"))
    copied = f"SELECT {columns} FROM {table}_old"  # noqa: S608  names of ours
    _execute(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE {copied}")
    if table == EVENT:
        _execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART WITH 10000000")
    for index in INDEXES[table]:
        _execute(f"CREATE INDEX ON {table} {index}")
    for (definition,) in triggers:
        if "FOR EACH ROW" in definition:  # one for statements belongs to each partition
            _execute(definition.replace(f"{table}_old", table))


def _add(table: str, rows: int, changed: dict[str, str]) -> None:
    """Add rows like the first one, but for what is ``changed``: name and SQL, in which ``n`` counts."""
    columns = [column for column in _columns(table) if column not in changed]
    names = ", ".join([*columns, *changed])
    values = ", ".join([*(f"sample.{column}" for column in columns), *changed.values()])
    _execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")  # made-up events are no links of a chain
    _execute(
        f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {values}"  # noqa: S608  names of ours
        f" FROM (SELECT * FROM {table}_old LIMIT 1) AS sample, generate_series(1, {rows}) AS n"
    )
    _execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def _columns(table: str) -> list[str]:
    names = "SELECT quote_ident(column_name) FROM information_schema.columns WHERE table_name = %s"
    return [row[0] for row in _execute(names, [table])]


def _execute(statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


if __name__ == "__main__":
    sys.exit(main())
