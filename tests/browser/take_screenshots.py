"""Takes the pictures of docs/tour.md: ``pytest tests/browser/take_screenshots.py``. Not part of the suite.

One radiograph is to be seen, the tibia of pydicom-data (MIT), whole and in pieces. Look at every picture
before it is committed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from django.utils import timezone
from PIL import Image as Picture
from playwright.sync_api import Browser, Page, expect
from pydicom.data import get_testdata_file
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import tab
from tests.factories import make_clinic, make_submission, make_superuser, make_user
from tests.live.conftest import Portal, portal, redis_server, until
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.clinics.services import change_roles
from xrayportal.intake.ingest import IncomingFile, ingest_file
from xrayportal.intake.services import finish_submission
from xrayportal.studies.models import Study, Submission

__all__ = ["portal", "redis_server"]

pytestmark = pytest.mark.timeout(600)

SHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
NAMES = ["knee_ap", "shin_lateral", "ankle_ap", "leg_follow_up", "shin_ap"]


def pieces(count: int) -> list[tuple[str, bytes]]:
    """The radiograph, each time a little other in place, turn, contrast and side."""
    dataset = pydicom.dcmread(str(get_testdata_file("RG3_UNCR.dcm")))
    grey = dataset.pixel_array.max() - dataset.pixel_array.astype(np.float32)  # MONOCHROME1
    whole = Picture.fromarray(grey / grey.max()).resize((880, 880))
    found = []
    for number in range(count):
        turned = np.asarray(whole.rotate((number % 7 - 3) * 1.5, Picture.Resampling.BILINEAR, fillcolor=1.0))
        part = turned[9 * number % 160 :, 100 + number : 760 + number] ** (0.45 + 0.05 * (number % 20))
        out = io.BytesIO()
        Picture.fromarray((255 * (part[:, ::-1] if number % 3 else part)).astype(np.uint8)).save(out, "PNG")
        found.append((f"{NAMES[number % len(NAMES)]}_{number:02}.png", out.getvalue()))
    return found


def send(
    clinic: Clinic, uploader: User, files: list[tuple[str, bytes]], first: int, body_part: str = ""
) -> Submission:
    submission = make_submission(clinic, uploader, expected_files=len(files))
    for number, (name, content) in enumerate(files):
        reference = f"P-{first + 7 * number}"
        incoming = IncomingFile(
            submission,
            f"k{number}",
            name,
            Actor(uploader),
            patient_reference=reference,
            stated_body_part=body_part,
        )
        ingest_file(incoming, io.BytesIO(content))
    finish_submission(submission=submission, actor=Actor(uploader))
    return submission


def give_it_a_past(submission: Submission, rosa: ClinicAccess, emil: ClinicAccess) -> None:
    """Weeks of studies, most of them reviewed, one disagreement."""
    studies = list(Study.objects.filter(submission=submission).select_related("current").order_by("pk"))
    for number, study in enumerate(studies):
        past = timezone.now() - timedelta(days=2 * number + 1, hours=number % 7)
        Study.objects.filter(pk=study.pk).update(created_at=past)
        model = study.current.verdict if study.current else ""
        verdict = (
            model if number % 5 and model in ("normal", "abnormal") else ("normal", "abnormal")[number % 2]
        )
        if number % 6:
            say(rosa, study, verdict)
        if number % 4 == 1:
            say(emil, study, "abnormal" if number == 1 and verdict == "normal" else verdict)
    say(emil, studies[7], "uncertain", comment="Sclerotic rim; no step in the cortex.")


def test_take_them(browser: Browser, live_server: LiveServer, portal: Portal) -> None:
    clinic = make_clinic(slug="north", name="North Harbour", blind_first=True, time_zone="Europe/Berlin")
    uploader = make_user(
        clinic, Role.UPLOADER, email="ines@north.example", first_name="Ines", last_name="Albers"
    )
    rosa = make_access(clinic, Role.READER, email="rosa@north.example", first_name="Rosa", last_name="Lind")
    emil = make_access(clinic, Role.READER, email="emil@north.example", first_name="Emil", last_name="Sand")
    uma = make_access(clinic, Role.READER, email="uma@north.example", first_name="Uma", last_name="Berg")
    admin = make_user(clinic, Role.ADMIN, email="ada@north.example", first_name="Ada", last_name="Holm")
    left = make_access(clinic, Role.READER, email="jon@north.example", first_name="Jon", last_name="Ek")
    change_roles(clinic=clinic, actor=Actor(admin), user=left.user, roles=())
    superuser = make_superuser(email="support@portal.example")
    portal.worker()
    portal.reconciler()
    past = send(clinic, uploader, pieces(36), 2041)
    until(lambda: not Analysis.objects.exclude(state="succeeded").exists(), 120)
    give_it_a_past(past, rosa, emil)
    whole = Path(str(get_testdata_file("RG3_UNCR.dcm"))).read_bytes()
    files = [("tibia.dcm", whole), ("tibia_cut_short.dcm", whole[:90_000]), *pieces(41)[36:]]
    today = send(clinic, uploader, files, 2314)
    until(lambda: not Analysis.objects.exclude(state="succeeded").exists(), 120)
    study = Study.objects.get(submission=today, images__media_type="application/dicom")
    say(emil, study, "normal", comment="Lytic area with a sclerotic rim, distal tibia.")
    disputed = (
        f"/c/north/studies/{Study.objects.filter(submission=past, consensus__state='disagreed').first().pk}/"  # type: ignore[union-attr]
    )

    def shoot(
        user: User | None, name: str, address: str, do: Callable[[Page], Any] | None = None, **look: Any
    ) -> None:
        dark, view = look.get("dark", False), look.get("view", WIDE)
        with tab(
            browser, live_server, user, viewport=view, color_scheme="dark" if dark else "light",
            reduced_motion="reduce", locale=look.get("locale", "en-GB"),
        ) as context:  # fmt: skip
            page = context.new_page()
            page.goto(address)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.wait_for_timeout(900)  # pictures decode, the viewer draws
            if do:
                do(page)
                page.wait_for_timeout(400)
            SHOTS.mkdir(exist_ok=True)
            picture = Picture.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.save(SHOTS / f"{name}.png", optimize=True)

    here = f"/c/north/studies/{study.pk}/"
    shoot(None, "sign-in", "/sign-in/")
    shoot(None, "sign-in-phone", "/sign-in/", view=PHONE, dark=True)
    shoot(emil.user, "worklist", "/c/north/")
    shoot(uploader, "worklist-dark", "/c/north/", dark=True)
    shoot(uploader, "worklist-phone", "/c/north/", view=PHONE)
    shoot(uploader, "upload", "/c/north/upload/")
    shoot(uploader, "submission", f"/c/north/submissions/{today.pk}/")
    shoot(uploader, "submission-phone", f"/c/north/submissions/{today.pk}/", view=PHONE, dark=True)
    shoot(uploader, "submissions", "/c/north/submissions/")
    shoot(admin, "study", here)
    shoot(emil.user, "study-dark", here, dark=True, view={"width": 1440, "height": 900})
    shoot(admin, "study-phone", here, view=PHONE)
    shoot(admin, "study-german", here, locale="de-DE")
    shoot(rosa.user, "review-blind", here, view={"width": 1440, "height": 900})
    shoot(uma.user, "review-adjudicate", disputed, view={"width": 1440, "height": 900}, dark=True)
    shoot(admin, "disagreements", "/c/north/disagreements/")
    shoot(admin, "history", "/c/north/history/")
    shoot(admin, "scorecard", "/c/north/scorecard/")
    shoot(admin, "scorecard-phone", "/c/north/scorecard/", view=PHONE, dark=True)
    shoot(admin, "people", "/c/north/people/", view={"width": 1280, "height": 980})
    shoot(admin, "settings", "/c/north/settings/")
    shoot(admin, "operations", "/c/north/operations/")
    shoot(superuser, "operations-dark", "/operations/", dark=True)
    shoot(emil.user, "keys", "/c/north/", lambda page: page.keyboard.press("?"), dark=True)
    shoot(emil.user, "menu", "/c/north/", lambda page: page.locator(".sidebar-person > summary").click())
    foot = send(clinic, uploader, pieces(42)[41:], 2501, body_part="foot")
    until(lambda: not Analysis.objects.exclude(state="succeeded").exists(), 120)
    shoot(admin, "study-not-judged", f"/c/north/studies/{Study.objects.get(submission=foot).pk}/")
