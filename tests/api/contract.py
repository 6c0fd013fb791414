"""Runs schemathesis over the whole API against a live server: ``make contract``. Not part of the suite.

Twice, with two seeds: every operation with values as the document describes them and with others, alone and
in chains. No answer may be a 5xx or differ from the document. ``EXAMPLES=300`` tries more of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import program
from tests.factories import make_analysis, make_study, make_submission
from tests.house import House
from xrayportal.clinics.models import Membership, Role

EXAMPLES = os.environ.get("EXAMPLES", "100")


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", ["1", "2"])
def test_contract(
    house: House, live_server: Any, seed: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for role in (Role.UPLOADER, Role.ADMIN):
        Membership.objects.create(clinic=house.clinic, user=house.reader, role=role)
    make_analysis(make_study(submission=make_submission(house.clinic, house.reader)))
    caller = program(house.clinic, house.reader, "")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{live_server.url}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {caller.secret}"),
        *("--seed", seed, "--max-examples", EXAMPLES, "--continue-on-failure", "--no-color"),
    ]
    with capfd.disabled():
        # It keeps what it finds in the folder that it runs in.
        done = subprocess.run(command, cwd=tmp_path, check=False)
    assert done.returncode == 0
