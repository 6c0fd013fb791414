"""A clinic in which every page has something to show, in every state, without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext
from pytest_django.live_server_helper import LiveServer

from tests.factories import (
    make_analysis,
    make_bundle,
    make_clinic,
    make_study,
    make_submission,
    make_superuser,
    make_user,
)
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Membership, Role, User
from xrayportal.clinics.people import invitation_parts
from xrayportal.clinics.services import change_roles
from xrayportal.dicom.models import Caller, Destination
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.tokens.models import Scope
from xrayportal.tokens.services import create_token
from xrayportal.webhooks.services import add_endpoint, send_test
from xrayportal.worklist.reading import begin_session

#: Of the bundle that is shipped, which are longer than those of the tests' own, and longer still in German.
WORDS = {
    "normal": "no fracture seen",
    "abnormal": "fracture suspected",
    "uncertain": "uncertain",
    "unsupported": "outside what the model can analyse",
}


@dataclass(frozen=True)
class Scene:
    """The people, and what they look at; ``studies`` by the state that they are in."""

    clinic: Clinic
    empty: Clinic
    uploader: User
    reader: User
    admin: User
    superuser: User
    #: Belongs to both clinics.
    traveller: User
    submission: Submission
    studies: dict[str, Study]
    invitation: str
    #: Ids of the reader's reading session, and of a webhook with a message that waits.
    reading: UUID
    webhook: UUID

    def address(self, name: str, *arguments: Any) -> str:
        """The address of one of this clinic's pages."""
        return reverse(name, args=[self.clinic.slug, *arguments])


def build_scene() -> Scene:
    """A clinic that reads blind first, a second one that is empty, and their people."""
    bundle = make_bundle()
    bundle.manifest["target"] |= WORDS
    bundle.save()
    clinic = make_clinic(
        slug="north",
        name="North Harbour Paediatrics, Orthopaedics, Traumatology",
        blind_first=True,
    )
    empty = make_clinic(slug="south", name="South Hill")
    uploader = make_user(clinic, Role.UPLOADER, email="ines@north.example", first_name="Ines")
    reader = make_access(clinic, Role.READER, email="rosa@north.example", first_name="Rosa", last_name="Lind")
    colleague = make_access(clinic, Role.READER, first_name="Emil", last_name="Sand")
    admin = make_user(clinic, Role.ADMIN, email="ada@north.example", first_name="Ada")
    traveller = make_user(clinic, Role.ADMIN, email="tom@north.example")
    Membership.objects.create(clinic=empty, user=traveller, role=Role.ADMIN)
    invited = make_user(clinic, Role.READER, email="new@north.example")
    change_roles(
        clinic=clinic,
        actor=Actor(admin),
        user=make_user(clinic, Role.READER, email="gone@north.example"),
        roles=(),
    )
    submission = make_submission(clinic, uploader, expected_files=12, source="browser")
    submission.state = Submission.State.FINISHED
    submission.save()
    for outcome, sentence in (
        ("rejected", "Could not read knee_02.dcm: the file ends before its pixels."),
        ("duplicate", ""),
    ):
        Upload.objects.create(
            submission=submission, key=outcome, filename="knee_02.dcm", size=900, outcome=outcome,
            sentence=sentence, kind="truncated" if sentence else "",
        )  # fmt: skip
    studies = _studies(submission, reader, colleague)
    begun = begin_session(
        access=reader, studies=[studies[name].pk for name in ("signed", "blind", "opinion")], query=""
    )
    return Scene(
        clinic=clinic,
        empty=empty,
        uploader=uploader,
        reader=reader.user,
        admin=admin,
        superuser=make_superuser(email="sue@portal.example"),
        traveller=traveller,
        submission=submission,
        studies=studies,
        invitation=reverse("invitation", args=invitation_parts(invited)),
        reading=begun.pk,
        webhook=_connections(clinic, Actor(admin)),
    )


def _connections(clinic: Clinic, actor: Actor) -> UUID:
    """An API token, a DICOM caller and destination, and a webhook, whose id is returned."""
    create_token(
        clinic=clinic,
        actor=actor,
        name="PACS bridge",
        role=Role.UPLOADER,
        scopes=[Scope.SUBMISSIONS_WRITE],
        days=90,
    )
    Caller.objects.create(clinic=clinic, ae_title="ROOM1", network="192.0.2.0/24")
    Destination.objects.create(
        clinic=clinic, name="PACS", ae_title="PACS", calling_ae_title="XRAY", host="192.0.2.7", port=104
    )
    endpoint, _secret = add_endpoint(
        clinic=clinic, actor=actor, url="https://ris.example/hook", events=["study.deleted"]
    )
    send_test(endpoint=endpoint)
    return endpoint.pk


def _studies(submission: Submission, reader: ClinicAccess, colleague: ClinicAccess) -> dict[str, Study]:
    names = ["waiting", "running", "failed", "unsupported", "cancelled", "several views", "blind", "opinion"]
    names += ["signed", "disagreed", "uncertain", "normal"]
    studies = {
        name: make_study(
            submission.clinic,
            submission,
            views=3 if name == "several views" else 1,
            patient_reference="" if name == "blind" else f"P-{name}",
        )
        for name in names
    }
    make_analysis(studies["waiting"], Analysis.State.QUEUED)
    make_analysis(studies["running"], Analysis.State.RUNNING)
    make_analysis(studies["failed"], Analysis.State.FAILED)
    make_analysis(studies["cancelled"], Analysis.State.CANCELLED)
    make_analysis(
        studies["unsupported"], verdict="unsupported", probability=None, body_part="", body_parts={}
    )
    make_analysis(studies["uncertain"], verdict="uncertain", probability=0.41)
    make_analysis(studies["normal"], verdict="normal", probability=0.06, body_part="knee")
    for name in ("several views", "blind", "opinion", "signed", "disagreed"):
        make_analysis(studies[name], thresholds_by_clinic=True)
    for name in ("several views", "failed", "unsupported", "uncertain", "normal"):
        say(reader, studies[name], "normal", sign=False)
    say(reader, studies["opinion"], "uncertain", sign=False, comment="Look at the ulna.")
    say(reader, studies["signed"], "normal", sign=False)
    say(reader, studies["signed"], "abnormal", body_part="hand")
    say(reader, studies["disagreed"], "abnormal")
    say(colleague, studies["disagreed"], "normal", comment="An old line.")
    return studies


def become(context: BrowserContext, live_server: LiveServer, user: User | None) -> None:
    """From here on this browser is that person's, signed in already; or nobody's."""
    context.clear_cookies()
    if user is None:
        return
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])


@contextmanager
def tab(
    browser: Browser, live_server: LiveServer, user: User | None, **options: Any
) -> Iterator[BrowserContext]:
    """A browser in which this person is signed in already; closed at the end."""
    options.setdefault("viewport", {"width": 1280, "height": 900})
    context = browser.new_context(base_url=live_server.url, **options)
    become(context, live_server, user)
    try:
        yield context
    finally:
        context.close()
