"""Sends 1,000 pictures with ``xray submit --wait`` to a portal's real processes and prints what that took.

``pytest tests/xray_client/measure_thousand.py -s``: gunicorn as in the Procfile, one worker, one reconciler.
Not part of the suite. The pictures are drawn and all different; ``UPLOADS=100`` sends fewer. docs/api.md
has the figures of one run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.factories import make_clinic, make_user
from tests.live.conftest import Portal, portal, redis_server
from tests.submissions.measure_uploads import FILES, draw, serve
from xrayportal.analyses.models import Analysis
from xrayportal.audit.services import verify
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Upload
from xrayportal.tokens.services import create_token

__all__ = ["portal", "redis_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_measure(portal: Portal, tmp_path: Path) -> None:
    clinic = make_clinic(slug="north")
    _token, secret = create_token(
        clinic=clinic,
        actor=Actor(make_user(clinic, Role.ADMIN)),
        name="bench",
        role=Role.UPLOADER,
        scopes=["submissions:write", "studies:read"],
        days=1,
    )
    address, _web = serve(portal)
    portal.worker(LOG_LEVEL="WARNING")
    portal.reconciler(LOG_LEVEL="WARNING")
    folder = tmp_path / "cases"
    folder.mkdir()
    draw(folder)
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "xray_client", "--url", address, "submit", str(folder), "--wait", "--csv"],
        env={**os.environ, "XRAY_TOKEN": secret},
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == FILES + 1
    assert Upload.objects.filter(outcome="accepted").count() == FILES
    assert Analysis.objects.filter(state="succeeded").count() == FILES
    assert verify(clinic=clinic).is_whole
    figures = {
        "files": FILES,
        "from submission to results, s": took,
        "files a second": FILES / took,
        "load of the machine (5 min)": os.getloadavg()[1],
    }
    for name, value in figures.items():
        print(f"{name:<30} {value:10.1f}")  # noqa: T201  what it is for
