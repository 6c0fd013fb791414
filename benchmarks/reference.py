"""A bare view behind the portal's own middleware: what a request costs at least, on this machine and today.

Milliseconds of two machines do not compare, and a busy machine is another machine. So the portal's promises
are multiples of this view, measured in turns with it: the session with its person, one row by its key.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.urls import include, path, reverse
from django.views.decorators.http import require_safe

from benchmarks.registry import Row
from benchmarks.timing import row

if TYPE_CHECKING:
    from django.test import Client

#: Where the reference takes so long, a promise's milliseconds are the bar; elsewhere it scales with it.
MILLISECONDS = 3.0


@require_safe
def look(request: HttpRequest, study: uuid.UUID) -> HttpResponse:
    """Whose session it is, and whether there is such a study."""
    from xrayportal.studies.models import Study

    is_there = Study.objects.filter(pk=study).exists()
    return HttpResponse(f"{request.user.pk} {is_there}", content_type="text/plain")


urlpatterns = [
    path("reference/<uuid:study>/", look, name="reference"),
    path("", include("xrayportal.urls")),
]


@dataclass(frozen=True)
class Measured:
    """Milliseconds, and the same as multiples of the reference's median in the same rounds."""

    milliseconds: list[float]
    multiples: list[float]

    @classmethod
    def against(cls, milliseconds: Sequence[float], reference: Sequence[float]) -> Measured:
        """Hold milliseconds against those of the reference."""
        unit = median(reference)
        return cls(list(milliseconds), [value / unit for value in milliseconds])

    @classmethod
    def together(cls, several: Sequence[Measured]) -> Measured:
        """All values as if they were of one thing; each keeps the reference of its own rounds."""
        return cls(
            [value for each in several for value in each.milliseconds],
            [value for each in several for value in each.multiples],
        )

    def rows(
        self, what: str, *, at_most: float | None = None, p95_at_most: float | None = None
    ) -> Iterator[Row]:
        """The milliseconds; and the multiples if there is a promise: in ms, at a reference of 3 ms."""
        yield row(what, self.milliseconds)
        if at_most is not None or p95_at_most is not None:
            bars = {"at_most": _scaled(at_most), "p95_at_most": _scaled(p95_at_most)}
            yield row("  in references", self.multiples, "times", **bars)


def _scaled(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / MILLISECONDS, 1)


class Reference:
    """The reference view of one study, as a signed-in browser sees it."""

    def __init__(self, browser: Client, study: uuid.UUID) -> None:
        self._browser = browser
        self._address = reverse("reference", args=[study])

    def look(self) -> float:
        """Milliseconds of one request."""
        start = time.perf_counter()
        response = self._browser.get(self._address)
        milliseconds = (time.perf_counter() - start) * 1000
        assert response.status_code == 200, f"{response.status_code} {self._address}"
        return milliseconds

    def looks(self, count: int) -> list[float]:
        """Milliseconds of so many requests, the first three left out."""
        return [self.look() for _ in range(count + 3)][3:]


@contextmanager
def reference_routed() -> Iterator[None]:
    """Here the address of the reference is the portal's, beside its own."""
    from django.test import override_settings

    with override_settings(ROOT_URLCONF=__name__):
        yield
