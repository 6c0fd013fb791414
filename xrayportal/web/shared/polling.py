"""Polling: a fragment asks again with the version that it shows (``?seen=``); 204 says that it holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

#: Between the content and the clock in the text of a version.
_CLOCK = "~"


@dataclass(frozen=True, slots=True)
class Version:
    """What a fragment shows, as one short text that the browser sends back.

    ``content`` changes whenever the fragment shows something else. ``clock`` changes when it is worth
    looking again, although nothing may have happened; empty for a fragment without one.
    """

    content: str
    clock: str = ""

    @classmethod
    def of_values(cls, *values: object, clock: str = "") -> Version:
        """From a few values that the fragment shows; None is empty, as in ``version_expr``."""
        return cls(".".join("" if value is None else str(value) for value in values), clock)

    @classmethod
    def of_html(cls, html: str, clock: str = "") -> Version:
        """From the rendered fragment: 16 hexadecimal digits of its SHA-256."""
        return cls(hashlib.sha256(html.encode()).hexdigest()[:16], clock)

    def __str__(self) -> str:
        return f"{self.content}{_CLOCK}{self.clock}" if self.clock else self.content


def clock_every(seconds: int) -> str:
    """A clock for a `Version`, which changes every so many seconds."""
    return str(int(timezone.now().timestamp()) // seconds)


def version_expr(*values: F | Count | Subquery[Any]) -> Concat:
    """``str(Version.of_values(…))`` inside a query: the values with dots between them; NULL is empty."""
    dot = Value(".", output_field=TextField())
    texts = [Coalesce(Cast(value, TextField()), Value("", output_field=TextField())) for value in values]
    return Concat(*[piece for text in texts for piece in (text, dot)][:-1], output_field=TextField())


def seen_version(request: HttpRequest) -> Version | None:
    """The version that the browser shows (``?seen=``), or None where the request is no poll."""
    seen = request.GET.get("seen")
    if seen is None:
        return None
    content, _mark, clock = seen.partition(_CLOCK)
    return Version(content, clock)


def unchanged() -> HttpResponse:
    """The answer to a poll whose version still holds: 204 without a body, which swaps nothing."""
    return HttpResponse(status=204)
