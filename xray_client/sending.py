"""Sends many files at a time into one submission."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from xray_client.client import Client
from xray_client.folders import LABELS_SUFFIX, LocalFile
from xray_client.records import Upload


@dataclass(slots=True)
class Sent:
    """What became of the files: how many by outcome, and a sentence for each that was not taken."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def send_all(
    client: Client,
    submission: str,
    files: Sequence[LocalFile],
    *,
    jobs: int = 4,
    on_sent: Callable[[], None] = lambda: None,
) -> Sent:
    """Send the files, ``jobs`` at a time; ``on_sent`` is called after each.

    CSVs go first and alone: they tell of the pictures. A file that cannot be read any more spoils no other.
    Raises `ApiError` and `Unreachable` of the client; what is being sent then is waited for.
    """
    sent = Sent()
    labels = [file for file in files if file.path.lower().endswith(LABELS_SUFFIX)]
    others = [file for file in files if file not in set(labels)]
    for group, workers in ((labels, 1), (others, max(1, jobs))):
        with ThreadPoolExecutor(workers) as pool:
            _send_group(client, submission, group, pool, 2 * workers, sent, on_sent)
    return sent


def _send_group(
    client: Client,
    submission: str,
    files: Sequence[LocalFile],
    pool: ThreadPoolExecutor,
    ahead: int,
    sent: Sent,
    on_sent: Callable[[], None],
) -> None:
    """No more than ``ahead`` files wait for a thread, so that the first error ends all soon."""
    running: dict[Future[Upload], LocalFile] = {}
    left = iter(files)
    while True:
        for file in left:
            running[pool.submit(client.send_file, submission, file.location, path=file.path)] = file
            if len(running) >= ahead:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            file = running.pop(future)
            try:
                upload = future.result()
            except OSError as error:
                sent.outcomes["unreadable"] += 1
                sent.failures.append(f"{file.path}: {error.strerror or error}.")
            else:
                sent.outcomes[upload.outcome] += 1
                if upload.outcome == "rejected":
                    sent.failures.append(upload.sentence)
            on_sent()
