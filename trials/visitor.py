"""A person with a browser, as far as the portal can tell: signs in, and sends pictures."""

from __future__ import annotations

import json
import re
import ssl
import uuid
from collections.abc import Iterable
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPSHandler, ProxyHandler, Request, build_opener


class Visitor:
    """Keeps cookies over requests to one portal. ``certificate`` is a file with the one to trust."""

    def __init__(self, address: str, certificate: str | None = None) -> None:
        self.address = address.rstrip("/")
        context = ssl.create_default_context(cafile=certificate)
        self._cookies = CookieJar()
        # No proxy of the environment stands between two processes of this machine.
        self._open = build_opener(
            ProxyHandler({}), HTTPSHandler(context=context), HTTPCookieProcessor(self._cookies)
        ).open

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body. Raises `urllib.error.HTTPError` for a refusal."""
        with self._open(Request(self.address + path), timeout=60) as answer:  # noqa: S310  ours
            return answer.status, answer.read()

    def sign_in(self, email: str, password: str) -> None:
        """Fill in the form. Raises RuntimeError if the portal keeps this person out."""
        token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', self.get("/sign-in/")[1])
        if token is None:
            raise RuntimeError("The sign-in page has no form.")
        fields = {"username": email, "password": password, "csrfmiddlewaretoken": token[1].decode()}
        self._post("/sign-in/", urlencode(fields).encode(), "application/x-www-form-urlencoded")
        if "sessionid" not in {cookie.name for cookie in self._cookies}:
            raise RuntimeError(f"{email} could not sign in.")

    def send(self, clinic: str, pictures: Iterable[tuple[str, bytes]], expected: int) -> dict[str, Any]:
        """Make a submission of these files (name and bytes), each a request of its own, and end it."""
        submission = self.begin(clinic, expected)
        for name, picture in pictures:
            self.put(submission, name, picture, key=str(uuid.uuid4()))
        self.finish(submission)
        return submission

    def begin(self, clinic: str, expected: int) -> dict[str, Any]:
        """Make a submission; returns the addresses of its parts."""
        body = json.dumps({"expected_files": expected}).encode()
        submission: dict[str, Any] = json.loads(
            self._post(f"/c/{clinic}/submissions/", body, "application/json")
        )
        return submission

    def put(self, submission: dict[str, Any], name: str, picture: bytes, *, key: str) -> dict[str, Any]:
        """Send one file; the same key again is the same file. Returns what became of it."""
        boundary = uuid.uuid4().hex
        form = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="key"\r\n\r\n{key}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        form += picture + f"\r\n--{boundary}--\r\n".encode()
        media_type = f"multipart/form-data; boundary={boundary}"
        answer: dict[str, Any] = json.loads(self._post(submission["uploads"], form, media_type))
        return answer

    def finish(self, submission: dict[str, Any]) -> None:
        """Say that no more files come."""
        self._post(submission["finish"], b"", "application/json")

    def _post(self, path: str, body: bytes, media_type: str) -> bytes:
        headers = {
            "Content-Type": media_type,
            "Accept": "application/json, text/html;q=0.5",
            "Referer": f"{self.address}/",
            "X-CSRFToken": next((c.value or "" for c in self._cookies if c.name == "csrftoken"), ""),
        }
        request = Request(self.address + path, data=body, headers=headers)  # noqa: S310  ours
        with self._open(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content
