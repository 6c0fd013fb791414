"""A typed client of the API: one method an operation, refusals as exceptions, repeats that are harmless."""

from __future__ import annotations

import functools
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from xray_client.records import Finding, Progress, Study, Token, Upload

#: Statuses after which the same request may succeed a little later.
LATER = frozenset({429, 502, 503, 504})
#: The first pause before the same again; each is twice the one before, up to the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class ApiError(Exception):
    """A refusal by the portal: ``status`` is that of HTTP, ``str(error)`` its sentence.

    ``retry_after`` is in how many seconds the portal asks to try again; 0 where it does not say.
    """

    def __init__(self, status: int, sentence: str, retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


class Unreachable(Exception):
    """The portal gave no answer, also after some time; ``str(error)`` says what happened."""


class Client:
    """The API of one clinic. Threads may share it. A context manager, which closes its connections.

    A request that fails on the way, or that the portal asks to send later (429, 503), is sent again for
    ``patience`` seconds; ``on_retry`` is told why. That is harmless: what changes something carries a key or
    is the same twice.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience: float = 300.0,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        on_retry: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._patience = patience
        self._sleep = sleep
        self._on_retry = on_retry
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=timeout,
            transport=transport,
            follow_redirects=True,
            limits=httpx.Limits(max_connections=32),
        )
        self._etags: dict[str, tuple[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def token(self) -> Token:
        """The token, and what it may do."""
        return Token.read(self._get("token"))

    def open_submission(
        self,
        *,
        expected_files: int = 0,
        grouping: str = "folders",
        queue: str | None = None,
        continues: str | None = None,
    ) -> Progress:
        """Open a submission that files can be sent to. With ``continues`` it takes the rest of that one's."""
        content = {
            "expected_files": expected_files,
            "grouping": grouping,
            "queue": queue,
            "continues": continues,
        }
        key = uuid.uuid4().hex
        return Progress.read(self._post("submissions", json=content, headers={"Idempotency-Key": key}))

    def submission(self, submission: str) -> Progress:
        """How far a submission is."""
        return Progress.read(self._get(f"submissions/{submission}"))

    def send_file(
        self, submission: str, location: str | Path, *, path: str = "", patient_reference: str = ""
    ) -> Upload:
        """Send one file. ``path`` is what the portal groups by; else the file's name.

        The same path again in the same submission is the same file. A rejected file is an outcome. Raises
        OSError where it cannot be read, and `ApiError` (409) where the submission has ended.
        """
        location = Path(location)
        path = path or location.name
        key = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        shown = path.encode("utf-8", "replace").decode()

        def send() -> httpx.Response:
            with location.open("rb") as file:
                return self._http.post(
                    f"submissions/{submission}/uploads",
                    files={"file": (shown.rpartition("/")[2] or "file", file)},
                    data={"path": shown, "patient_reference": patient_reference},
                    headers={"Idempotency-Key": key},
                )

        return Upload.read(self._answer(send).json())

    def finish(self, submission: str) -> Progress:
        """Say that no more files come."""
        return Progress.read(self._post(f"submissions/{submission}/finish"))

    def cancel(self, submission: str) -> Progress:
        """Take no more of its files and analyse no more of its studies."""
        return Progress.read(self._post(f"submissions/{submission}/cancel"))

    def wait(
        self,
        submission: str,
        *,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        every: float = 1.0,
        timeout: float | None = None,
    ) -> Progress:
        """Wait until nothing of a finished submission changes by itself; ``on_progress`` gets each step.

        Raises TimeoutError after ``timeout`` seconds, if given.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            progress = self.submission(submission)
            on_progress(progress)
            if progress.is_final:
                return progress
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"Submission {submission} is not done after {timeout:g} seconds.")
            self._sleep(every)

    def uploads(self, submission: str) -> Iterator[Upload]:
        """The files of a submission, newest first."""
        return map(Upload.read, self._pages(f"submissions/{submission}/uploads", {}))

    def studies(self, **filters: str) -> Iterator[Study]:
        """The studies that the token may see, newest first; ``filters`` as of the API."""
        return map(Study.read, self._pages("studies", filters))

    def study(self, study: str) -> Study:
        """One study."""
        return Study.read(self._get(f"studies/{study}"))

    def results(self, submission: str) -> list[Study]:
        """The studies of a submission, oldest first, with those of pictures that had been sent before."""
        studies = {study.id: study for study in self.studies(submission=submission)}
        for upload in self.uploads(submission):
            if upload.study is not None and upload.study not in studies:
                studies[upload.study] = self.study(upload.study)
        return sorted(studies.values(), key=lambda study: (study.created_at, study.id))

    def findings(self, analysis: str) -> list[Finding]:
        """The findings of an analysis, one a view."""
        return [Finding.read(row) for row in self._get(f"analyses/{analysis}")["findings"]]

    def download(self, address: str) -> bytes:
        """The content of a file whose address an answer gave."""
        whole = self._http.base_url.join(address)
        return self._answer(lambda: self._http.get(whole)).content

    def _pages(self, path: str, filters: Mapping[str, str]) -> Iterator[Any]:
        cursor = ""
        while cursor is not None:
            query = {**filters, "limit": "200", "cursor": cursor}
            page = self._answer(functools.partial(self._http.get, path, params=query)).json()
            yield from page["items"]
            cursor = page["next"]

    def _get(self, path: str) -> Any:
        """The JSON of an answer; unchanged it is not sent again."""
        etag, known = self._etags.get(path, ("", None))
        headers = {"If-None-Match": etag} if etag else {}
        response = self._answer(lambda: self._http.get(path, headers=headers))
        if response.status_code == 304:
            return known
        answer = response.json()
        if response.headers.get("ETag"):
            self._etags[path] = (response.headers["ETag"], answer)
        return answer

    def _post(self, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        return self._answer(lambda: self._http.post(path, json=json or {}, headers=headers)).json()

    def _answer(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer to a request that may be sent again."""
        end, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            try:
                response = send()
            except httpx.TransportError as error:
                if time.monotonic() + pause > end:
                    raise Unreachable(f"The portal does not answer: {_words(error)}.") from error
                wait, why = pause, f"The portal does not answer: {_words(error)}."
            else:
                if response.is_success or response.status_code == 304:
                    return response
                asked = _seconds(response.headers.get("Retry-After", ""))
                wait = max(pause, asked)
                if response.status_code not in LATER or time.monotonic() + wait > end:
                    raise ApiError(response.status_code, _sentence(response), asked)
                why = _sentence(response)
            self._on_retry(why)
            self._sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _sentence(response: httpx.Response) -> str:
    """Why the portal refused, for people."""
    try:
        problem = response.json()
        named = [f"{row['where']}: {row['message']}" for row in problem.get("errors", [])]
        return " ".join([str(problem["detail"]), *named])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"The portal answered {response.status_code} {response.reason_phrase}."


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _words(error: httpx.TransportError) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
