"""Watches a folder and sends what arrives; where it is sent to, a `Destination` knows."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from xray_client.folders import LocalFile, unchanging

LOOK_EVERY_SECONDS = 2.0
#: What arrives with shorter pauses is one submission, so that a CSV finds its pictures and a view its study.
QUIET_SECONDS = 30.0
#: But none is open for longer: studies of several views wait for its end.
LONGEST_SECONDS = 600.0
#: A destination that asks to wait for hours, for a day's limit say, is asked again this soon: limits change.
LONGEST_PAUSE = 600.0

Submission = TypeVar("Submission")


class SubmissionEnded(Exception):
    """The submission takes no more files: somebody ended it."""


class DestinationAway(Exception):
    """Nothing can be sent for now; ``seconds`` is for how long, where the destination says so."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds


class Destination(Protocol[Submission]):
    """Where files go. Every method but the last may raise `DestinationAway`."""

    def open(self, first: Submission | None) -> Submission:
        """Open a submission, which continues the ``first`` one of this watch, if there was one."""

    def send(self, submission: Submission, file: LocalFile) -> bool:
        """Send one file; whether it could be read. Raises `SubmissionEnded`."""

    def close(self, submission: Submission) -> None:
        """Say that no more files come."""

    def to_send(self, arrived: list[LocalFile], sent: dict[str, LocalFile]) -> list[LocalFile]:
        """What to send for those that ``arrived``, in order: perhaps some that were ``sent`` before, too."""


@dataclass(slots=True)
class _Batch(Generic[Submission]):
    """A submission that is being sent: ``paths`` that went into it; monotonic times of the clock."""

    submission: Submission
    opened: float
    news: float
    paths: set[str] = field(default_factory=set)

    def is_over(self, arrived: Collection[LocalFile], now: float) -> bool:
        """Nothing came for a while, or a file came again that has changed: one submission takes it once."""
        is_quiet = not arrived and now - self.news >= QUIET_SECONDS
        is_again = any(file.path in self.paths for file in arrived)
        return is_quiet or is_again or now - self.opened >= LONGEST_SECONDS


def watch(folder: Path, destination: Destination[Submission]) -> None:
    """Send what arrives in the folder, until KeyboardInterrupt; the last submission is closed then.

    Each submission continues the first one: a folder stays one study.
    """
    sent: dict[str, LocalFile] = {}
    unreadable: set[LocalFile] = set()
    batch: _Batch[Submission] | None = None
    first: Submission | None = None
    try:
        while True:
            pause = LOOK_EVERY_SECONDS
            known = {*sent.values(), *(file for file in unreadable if not _may_be_read(file))}
            arrived = unchanging(folder, known)
            try:
                if batch is not None and batch.is_over(arrived, time.monotonic()):
                    destination.close(batch.submission)
                    batch = None
                if arrived:
                    if batch is None:
                        now = time.monotonic()
                        batch = _Batch(destination.open(first), opened=now, news=now)
                        first = first or batch.submission
                    _send(batch, destination, arrived, sent, unreadable)
            except SubmissionEnded:
                batch = None  # what is left goes into a new one
            except DestinationAway as away:  # what is left goes into the same one, if it is still open then
                pause = max(pause, min(away.seconds, LONGEST_PAUSE))
            time.sleep(pause)
    except KeyboardInterrupt:
        if batch is not None:
            with suppress(DestinationAway):
                destination.close(batch.submission)
        raise


def _send(
    batch: _Batch[Submission],
    destination: Destination[Submission],
    arrived: list[LocalFile],
    sent: dict[str, LocalFile],
    unreadable: set[LocalFile],
) -> None:
    for file in destination.to_send(arrived, sent):
        if file.path in batch.paths:
            continue
        is_sent = destination.send(batch.submission, file)
        batch.paths.add(file.path)
        if is_sent or _may_be_read(file):
            sent[file.path] = file
        else:
            unreadable.add(file)  # until it is back
        batch.news = time.monotonic()


def _may_be_read(file: LocalFile) -> bool:
    return os.access(file.location, os.R_OK)
