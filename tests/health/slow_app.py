"""A WSGI application that is as slow as its senders, and lets nobody in until it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

_let_in = threading.Event()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers with the number of bytes that came; to a sign-in once somebody has asked for ``/let-in``."""
    if environ["PATH_INFO"].startswith("/sign-in/"):
        _let_in.wait()
    if environ["PATH_INFO"] == "/let-in":
        _let_in.set()
    count = len(environ["wsgi.input"].read())
    body = f"{environ['PATH_INFO']} {count}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
