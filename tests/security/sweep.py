"""Every address, by every kind of outsider, with six methods: no foreign row, no 5xx. Not part of the suite.

    .venv/bin/python -m pytest tests/security/sweep.py -s

The addresses are those that the code lists, with the ids of one clinic's rows: under that clinic's name, and
for members of another clinic under their own, too. ``test_addresses.py`` is the short form in the suite.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.addresses import addresses
from tests.factories import make_clinic, make_user
from tests.house import House, body, browser
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Role
from xrayportal.studies.models import Study, Upload
from xrayportal.tokens.services import create_token

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
#: These say 503 where no worker runs.
PROBES = ("/statusz", "/readyz")
REFERENCE, FILE = "NH-FOREIGN-1", "foreign-patient.png"

Enter = Callable[[], Client]


def outsiders(house: House, own: Clinic) -> dict[str, Enter]:
    """A browser or program of each kind of person who may not see the house's study."""
    former = make_user(house.clinic, Role.READER)
    former.memberships.all().delete()
    staff = make_user(is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    closed = make_user(house.clinic, Role.ADMIN, is_active=False)
    people = {
        "uploader elsewhere": make_user(own, Role.UPLOADER),
        "reader elsewhere": make_user(own, Role.READER),
        "admin elsewhere": make_user(own, Role.ADMIN),
        "everything elsewhere": make_user(own, *Role.values),
        "colleague": house.colleague,
        "member of no clinic": make_user(),
        "former member": former,
        "closed account": closed,
        "staff": staff,
        "superuser": house.superuser,
        "nobody": None,
    }
    _token, secret = create_token(
        clinic=own,
        actor=Actor(house.stranger),
        name="bridge",
        role="admin",
        scopes=["studies:read", "submissions:write"],
        days=1,
    )
    program = {"program elsewhere": lambda: Client(headers={"authorization": f"Bearer {secret}"})}
    return {name: lambda person=person: browser(person) for name, person in people.items()} | program


@pytest.mark.django_db
@pytest.mark.timeout(1800)
def test_nobody_gets_a_foreign_row(
    house: House, rows: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.objects.get(pk=rows["study"])
    Study.objects.filter(pk=study.pk).update(patient_reference=REFERENCE)
    Upload.objects.filter(submission=study.submission).update(filename=FILE)
    content = {REFERENCE, FILE, study.images.get().sha256}
    ids = {str(rows[name]) for name in ("study", "submission", "image", "finding", "analysis")}
    own = make_clinic()
    people = outsiders(house, own)
    asked = 0
    seen: set[str] = set()
    for name, enter in people.items():
        # The platform's staff see ids, never content.
        hidden = content if name in ("staff", "superuser") else content | ids
        slugs = [house.clinic.slug, *([own.slug] if name.endswith("elsewhere") else [])]
        for slug in slugs:
            for address, _needs in addresses(rows=rows | {"clinic": slug}):
                client = enter()
                client.raise_request_exception = False
                for method in METHODS:
                    answer = client.generic(method, address)
                    asked += 1
                    assert answer.status_code < 500 or address in PROBES, (name, method, address)
                    text = body(answer).decode(errors="replace").replace(address, "")
                    assert not [secret for secret in hidden if secret in text], (name, method, address)
                    seen.add(address)
    assert study.images.exists()
    assert Study.objects.filter(pk=study.pk, state=Study.State.SEALED).exists()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{asked} requests ({len(seen)} addresses, {len(people)} kinds of people, {len(METHODS)} "
            "methods): no foreign row, no 5xx\n"
        )
