"""Many people at once, on loopback: pollers that wait as their pages do, uploaders that do not wait.

Bounded in count and time: it ends by itself after ``seconds``.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from random import Random


@dataclass
class Answers:
    """Milliseconds until each answer was read, if asked for after ``since``; and answers that were none."""

    since: float = 0.0
    polls: list[float] = field(default_factory=list)
    uploads: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Poll:
    """What an open page asks again and again: its address, and the seconds between two times.

    An answer may bring the version to send as seen the next time, as the worklist's do.
    """

    address: str
    seconds: float

    def after(self, response: HTTPResponse, body: bytes) -> Poll:
        """The next poll, after this answer."""
        text = response.headers.get("HX-Trigger", "") + body[:2000].decode(errors="replace")
        seen = re.search(r'(?:data-seen=|"list-unchanged": )"([^"]+)"', text)
        if seen is None or "?seen=" not in self.address:
            return self
        return replace(self, address=f"{self.address.partition('?')[0]}?seen={seen[1]}")


@dataclass(frozen=True)
class Person:
    """A person with a session, which the ``headers`` carry."""

    port: int
    headers: dict[str, str]


def poll(person: Person, page: Poll, end: float, answers: Answers, seed: int) -> None:
    """Poll one page as a browser does, over one kept connection."""
    random = Random(seed)  # noqa: S311  who polls when is no secret
    time.sleep(random.random() * page.seconds)
    connection = HTTPConnection("127.0.0.1", person.port, timeout=30)
    headers = {**person.headers, "HX-Request": "true"}
    while time.monotonic() < end:
        response, body = _ask(
            connection, "GET", page.address, b"", headers, {200, 204}, answers.polls, answers
        )
        page = page.after(response, body)
        time.sleep(page.seconds)
    connection.close()


def upload(
    person: Person, address: str, picture: Callable[[int], bytes], end: float, answers: Answers
) -> None:
    """Send pictures one after the other, all of them new: one that is there already costs half."""
    connection = HTTPConnection("127.0.0.1", person.port, timeout=30)
    while time.monotonic() < end:
        body, media_type = picture_form(picture(secrets.randbits(60)))
        headers = {**person.headers, "Content-Type": media_type, "Accept": "application/json"}
        _ask(connection, "POST", address, body, headers, {201}, answers.uploads, answers)
    connection.close()


def together(tasks: Sequence[Callable[[], None]]) -> None:
    """Run all at once and wait for the last."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(
    connection: HTTPConnection,
    method: str,
    address: str,
    body: bytes,
    headers: dict[str, str],
    good: set[int],
    times: list[float],
    answers: Answers,
) -> tuple[HTTPResponse, bytes]:
    start = time.monotonic()
    try:
        connection.request(method, address, body or None, headers)
        response = connection.getresponse()
    except (RemoteDisconnected, BrokenPipeError, ConnectionResetError):
        # Kept too long: browsers connect anew as well.
        connection.close()
        connection.request(method, address, body or None, headers)
        response = connection.getresponse()
    answer = response.read()
    if start >= answers.since:
        times.append((time.monotonic() - start) * 1000)
    if response.status not in good:
        answers.refused.append(f"{response.status} {address} {answer[:200]!r}")
    return response, answer


def picture_form(picture: bytes) -> tuple[bytes, str]:
    """A multipart body with a key and one JPEG, and its media type."""
    boundary = uuid.uuid4().hex
    lines = [
        f"--{boundary}",
        'Content-Disposition: form-data; name="key"',
        "",
        uuid.uuid4().hex,
        f"--{boundary}",
        'Content-Disposition: form-data; name="file"; filename="view.jpg"',
        "Content-Type: image/jpeg",
        "",
        "",
    ]
    body = "\r\n".join(lines).encode() + picture + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"
