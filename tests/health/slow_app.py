"""A WSGI application that is as slow as its senders, and as passwords are: for tests of the HTTP worker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers with the number of bytes that came."""
    if environ["PATH_INFO"].startswith("/sign-in/"):
        time.sleep(0.5)
    count = len(environ["wsgi.input"].read())
    body = f"{environ['PATH_INFO']} {count}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
