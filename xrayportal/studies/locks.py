"""Locks on names in the file storage and on grouping keys, held in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


def lock_group(clinic: uuid.UUID, grouping_key: str) -> None:
    """Hold a clinic's grouping key until this transaction ends, so that its first views take turns."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"group {clinic} {grouping_key}"]
        )


@contextmanager
def name_lock(name: str) -> Iterator[None]:
    """Hold one stored name from before its file is written until its row is there.

    The search for orphans takes the same lock and looks again before it deletes, so it never removes a file
    whose row is about to be written. It is a lock of the database session, not of a row: no transaction is
    open while a file is written.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])


#: Any number that nothing else in this database takes as an advisory lock.
_ALL_FILES = 0x7872_6179_0002


@contextmanager
def all_files_kept() -> Iterator[None]:
    """Have no file removed that a row named when this began: a backup copies them one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_ALL_FILES])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_ALL_FILES])


@contextmanager
def removal() -> Iterator[bool]:
    """Whether files may be removed in the block: not during a backup. The search for orphans finds them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock_shared(%s)", [_ALL_FILES])
        may = bool(cursor.fetchone()[0])
    try:
        yield may
    finally:
        if may:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_shared(%s)", [_ALL_FILES])
