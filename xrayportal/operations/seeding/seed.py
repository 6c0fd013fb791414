"""Filling a clinic with made-up studies: rows by COPY, and a handful of files that all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from xrayportal.analyses.bundles import NoActiveBundleError, active_bundle
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.operations.seeding.copying import copy_rows
from xrayportal.operations.seeding.pictures import write_shared_files
from xrayportal.operations.seeding.rows import MARK, Batch, Rows, Setting
from xrayportal.studies.models import Study
from xrayportal.worklist.models import Unopened

LABEL = "seed"
#: Studies of one transaction.
BATCH = 5_000
#: An adjudication needs a third reader.
READERS, UPLOADERS = 3, 1
UNOPENED = timedelta(days=2)


class SeedRefusedError(Exception):
    """Nothing was written; ``str(error)`` is a sentence."""


@dataclass(frozen=True)
class Seeded:
    """The numbers of studies and of all rows that were made."""

    studies: int
    rows: int


def seed_studies(*, clinic: Clinic, studies: int, days: int, waiting: int, seed: int, force: bool) -> Seeded:
    """Add ``studies`` made-up studies, spread over ``days``; ``waiting`` of them wait for a worker.

    One audit event records it, before the first row. Raises `SeedRefusedError` without an active bundle, and
    for a clinic with studies that people sent unless ``force``.
    """
    if not force and clinic.studies.exclude(grouping_key__startswith=MARK).exists():
        raise SeedRefusedError(f"{clinic.name} holds real studies. Seed a clinic of its own, or use --force.")
    try:
        bundle = active_bundle()
    except NoActiveBundleError as error:
        raise SeedRefusedError(str(error)) from error
    setting = Setting(
        clinic=clinic,
        bundle=bundle,
        uploaders=_people(clinic, Role.UPLOADER, UPLOADERS),
        readers=_people(clinic, Role.READER, READERS),
        files=write_shared_files(clinic),
        now=timezone.now(),
        days=days,
        waiting=waiting,
    )
    record(
        clinic=clinic,
        action=Action.SUBMISSION_CREATED,
        actor=Actor(name=LABEL),
        target=clinic,
        detail={"seeded_studies": studies},
    )
    made = planned = 0
    for batch in _made_ahead(Rows(setting, studies=studies, seed=seed).batches(BATCH)):
        with transaction.atomic():
            for rows in batch.tables():
                copy_rows(rows)
                made += len(rows)
        if made > 2 * planned:
            # This session keeps its plans for triggers and foreign keys. Those made while the tables were
            # small read the tables whole, until these are analysed anew.
            _analyse()
            planned = made
    # The database adds every new study to the unopened ones; in a clinic at work only recent ones are.
    opened = Study.objects.filter(clinic=clinic, created_at__lt=setting.now - UNOPENED)
    Unopened.objects.filter(study__in=opened.filter(grouping_key__startswith=MARK)).delete()
    _analyse()
    return Seeded(studies=studies, rows=made)


def _made_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; the next one is made while the database takes in the last."""
    with ThreadPoolExecutor(1) as maker:
        following = maker.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = maker.submit(next, batches, None)
            yield batch


def _analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _people(clinic: Clinic, role: str, least: int) -> list[User]:
    """The people with the role, and made-up ones who cannot sign in until there are ``least``."""
    people = list(User.objects.filter(memberships__clinic=clinic, memberships__role=role).order_by("pk"))
    for number in range(len(people), least):
        email = f"{role}-{number}.{clinic.slug}@seed.example"
        user = User.objects.filter(email=email).first()
        people.append(user or User.objects.create_user(email))
    return people
