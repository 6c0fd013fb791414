"""A visitor of the portal whose folder this process works in, of this version or of an older one.

``benchmarks.versus`` starts one for each version. It reads lines ``NAME ROUNDS`` and answers each with a line
of JSON: the processor's milliseconds of so many requests, of this process alone, and the Python calls of one.
"""

from __future__ import annotations

import cProfile
import gc
import itertools
import json
import os
import pstats
import re
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

SLUG = "scale"
HTMX = {"HX-Request": "true"}
#: Made before they are sent; a line asks for fewer requests.
PICTURES = 20
#: Where the pages name their polls.
_RESULT = r'id="study-result"[^>]* hx-get="([^"]+)"'
_SEEN = r'data-seen="([^"]*)"'
#: Filled by `main`, once Django is set up: the portal's addresses and that of the reference.
urlpatterns: list[Any] = []


def main(studies: int) -> None:
    """Make a portal with so many studies, say that it is there, and visit it as the lines ask."""
    from benchmarks.scratch import manage, scratch_portal

    with scratch_portal() as environment, os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        os.environ.update(environment)
        import django

        django.setup()
        manage(environment, "create_clinic", "--name", "Scale", "--slug", SLUG)
        _decide_about_blind_reading()
        manage(environment, "seed_studies", "--clinic", SLUG, "--studies", str(studies), "--waiting", "40")
        _route_reference()
        visits = _visits()
        for ready in visits.values():
            ready()()
        # As gunicorn does before it forks: the collector does not look at what stays for good.
        gc.collect()
        gc.freeze()
        answers.write(json.dumps(list(visits)) + "\n")
        for line in sys.stdin:
            name, rounds = line.rsplit(maxsplit=1)
            answers.write(json.dumps(_measure(visits[name](), int(rounds))) + "\n")


def _decide_about_blind_reading() -> None:
    """Readers are not blind and files may be sent; older versions do not know the command's option."""
    from xrayportal.clinics.models import Clinic

    if hasattr(Clinic, "blind_first_decided"):
        Clinic.objects.update(blind_first=False, blind_first_decided=True)


def _measure(visit: Callable[[], Any], rounds: int) -> dict[str, Any]:
    visit()
    milliseconds = []
    for _ in range(rounds):
        start = time.process_time()
        visit()
        milliseconds.append((time.process_time() - start) * 1000)
    profile = cProfile.Profile()
    profile.runcall(visit)
    return {"milliseconds": milliseconds, "calls": pstats.Stats(profile).total_calls}  # type: ignore[attr-defined]  # unknown to the stubs


def _route_reference() -> None:
    """The view of ``benchmarks.reference``, which older versions lack."""
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path

    from xrayportal.studies.models import Study

    def look(request: HttpRequest, study: Any) -> HttpResponse:
        return HttpResponse(f"{request.user.pk} {Study.objects.filter(pk=study).exists()}")

    urlpatterns.extend([path("reference/<uuid:study>/", look), path("", include("xrayportal.urls"))])
    settings.ROOT_URLCONF = __name__


def _visits() -> dict[str, Callable[[], Callable[[], Any]]]:
    """By name what makes ready for a visit and returns it; every answer is looked at."""
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.test import Client
    from django.urls import reverse
    from django.utils import timezone

    from xrayportal.analyses.models import Analysis
    from xrayportal.clinics.models import Clinic, Membership, User
    from xrayportal.studies.models import Study

    def browser(role: str) -> Client:
        user = User.objects.get(email=f"{role}-0.{SLUG}@seed.example")
        Membership.objects.get_or_create(clinic=Clinic.objects.get(slug=SLUG), user=user, role=role)
        client = Client(headers={"host": "127.0.0.1"})
        client.force_login(user)
        return client

    def get(address: str, status: int = 200, **headers: str) -> Callable[[], Any]:
        def visit() -> Any:
            response = reader.get(address, headers=headers)
            assert response.status_code == status, f"{response.status_code} {address}"
            return response

        return visit

    def seen(page: str, pattern: str) -> str:
        (found,) = re.findall(pattern, get(page)().content.decode())
        return str(found).replace("&amp;", "&")

    def upload() -> Callable[[], Any]:
        opened = sender.post(reverse("submissions", args=[SLUG]), {"expected_files": 0}).json()
        pictures = {str(number): _picture(number) for number in itertools.islice(numbers, PICTURES)}

        def visit() -> None:
            key, picture = pictures.popitem()
            file = SimpleUploadedFile("view.jpg", picture, "image/jpeg")
            response = sender.post(opened["uploads"], {"key": key, "file": file})
            assert (response.status_code, response.json()["outcome"]) == (201, "accepted"), response.content

        return visit

    reader, sender = browser("reader"), browser("uploader")
    numbers = itertools.count()
    worklist = reverse("worklist", args=[SLUG]) + "?list=all"
    done = Study.objects.filter(current__isnull=False).order_by("created_at")
    study = done[done.count() // 2].pk
    running = Analysis.objects.filter(state__in=["queued", "running"]).order_by("pk")[0]
    now = timezone.now()
    running.state, running.started_at, running.leased_until = "running", now, now + timedelta(hours=3)
    running.save()
    waiting = reverse("study", args=[SLUG, running.study_id])
    return {
        "the reference": lambda: get(f"/reference/{study}/"),
        "study page": lambda: get(reverse("study", args=[SLUG, study])),
        "worklist": lambda: get(worklist),
        "worklist, the list alone": lambda: get(worklist, **HTMX),
        "idle poll of a study": lambda: get(seen(waiting, _RESULT), 204, **HTMX),
        "idle poll of the worklist": lambda: get(f"{worklist}&seen={seen(worklist, _SEEN)}", 204, **HTMX),
        "upload": upload,
    }


def _picture(number: int) -> bytes:
    """A JPEG of about 40 kB, for each number another one."""
    import io

    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(number).normal(110, 25, (260, 200)).clip(0, 255)
    buffer = io.BytesIO()
    Image.fromarray(noise.astype("uint8")).save(buffer, "JPEG", quality=97)
    return buffer.getvalue()


if __name__ == "__main__":
    main(int(sys.argv[1]))
