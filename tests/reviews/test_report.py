"""The printed report: one page, pictures passed on undecoded, every script, little memory."""

from __future__ import annotations

import io
import re
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture
from pypdf import PdfReader

from inference_worker import render
from tests.analyses.claims import result_for
from tests.factories import jpeg, make_analysis, make_clinic, make_study, make_submission, png
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis, Finding, Verdict
from xrayportal.analyses.queue import steps
from xrayportal.clinics.models import Clinic, Role
from xrayportal.reviews.report import pictures
from xrayportal.reviews.report.facts import facts_of
from xrayportal.reviews.report.page import render_report
from xrayportal.studies.models import Study


def overlay_of(width: int, height: int) -> bytes:
    """An overlay as the worker writes it."""
    signed = np.zeros((20, 20), np.float32)
    signed[5:9, 5:9] = 4.0
    return render.overlay(signed, 4.0, width, height)


def test_a_jpeg_is_passed_on_as_it_is() -> None:
    content = jpeg((24, 32))
    picture = pictures.jpeg(content)

    assert picture is not None
    assert (picture.width, picture.height, picture.space) == (24, 32, "/DeviceGray")
    assert picture.content == content
    progressive = pictures.jpeg(jpeg((24, 32), progressive=True))
    assert progressive is not None
    assert (progressive.width, progressive.height) == (24, 32)


def test_the_workers_overlay_is_passed_on_as_colour_and_mask() -> None:
    picture = pictures.overlay(overlay_of(300, 400))

    assert picture is not None
    assert (picture.width, picture.height, picture.has_mask) == (300, 400, True)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff", png(), b"GIF89a", jpeg()[:12]])
def test_another_file_is_no_jpeg(content: bytes) -> None:
    assert pictures.jpeg(content) is None


@pytest.mark.parametrize("content", [b"", png(), jpeg(), overlay_of(30, 40)[:-20], overlay_of(30, 40)[:40]])
def test_another_file_is_no_overlay(content: bytes) -> None:
    assert pictures.overlay(content) is None


@pytest.fixture
def clinic(db: None) -> Clinic:
    return make_clinic(name="Röntgen Süd")


def study_of(clinic: Clinic, size: tuple[int, int] = (300, 400), **fields: Any) -> Study:
    study = make_study(clinic, patient_reference="P-17", **fields)
    make_analysis(study)
    views = Finding.objects.filter(analysis=study.current).order_by("image__created_at", "image")
    for number, finding in enumerate(views):
        stem = f"clinics/{clinic.pk}/findings/report/{finding.pk}"
        finding.display_file = default_storage.save(f"{stem}-display.jpg", ContentFile(jpeg(size, shade=90)))
        finding.overlay_file = default_storage.save(f"{stem}-overlay.png", ContentFile(overlay_of(*size)))
        finding.width, finding.height = size
        finding.probability = 0.5 + number / 100
        finding.save()
    return study


def report_of(study: Study) -> PdfReader:
    return PdfReader(io.BytesIO(render_report(facts_of(study, clinic=study.clinic), storage=default_storage)))


def test_radiograph_and_overlay_are_on_the_page(clinic: Clinic) -> None:
    page = report_of(study_of(clinic)).pages[0]
    images = {image.name: image for image in page.images}

    assert len(images) == 2
    sizes = sorted(Picture.open(io.BytesIO(image.data)).size for image in images.values())
    assert sizes == [(300, 400), (300, 400)]
    assert "Röntgen Süd" in page.extract_text()


@pytest.mark.parametrize("code", Verdict.values)
def test_a_verdict_has_the_light_colour_of_the_screen(clinic: Clinic, code: str) -> None:
    facts = replace(facts_of(study_of(clinic), clinic=clinic), outcome=code)
    page = PdfReader(io.BytesIO(render_report(facts, storage=default_storage))).pages[0]
    contents = page.get_contents()
    assert contents is not None
    filled = {
        tuple(round(255 * float(channel)) for channel in colour)
        for colour in re.findall(rb"(\S+) (\S+) (\S+) rg\b", contents.get_data())
    }
    tokens = (settings.BASE_DIR / "static" / "shared" / "tokens.css").read_text()
    light = dict(re.findall(r"--verdict-(\w+): light-dark\(#(\w{6}),", tokens))
    assert set(light) == set(Verdict.values)
    assert {word for word, colour in light.items() if tuple(bytes.fromhex(colour)) in filled} == {code}


def test_the_most_suspicious_view_is_printed_and_all_are_named(clinic: Clinic) -> None:
    text = report_of(study_of(clinic, views=3)).pages[0].extract_text()

    assert "View 3 of 3" in text
    assert "1: Fracture suspected 0.50; 2: Fracture suspected 0.51; 3: Fracture suspected 0.52" in text


def test_any_amount_of_text_stays_on_one_page(clinic: Clinic) -> None:
    study = study_of(clinic, views=12)
    for number in range(6):
        access = make_access(clinic, first_name="Łucja", last_name=f"Живаго {number}")
        say(access, study, "abnormal", comment="Крепитация, επώδυνο, şüpheli. " * 130)
    report = report_of(study)
    text = report.pages[0].extract_text()

    assert len(report.pages) == 1
    assert "Łucja Живаго 0" in text
    assert "Крепитация, επώδυνο, şüpheli." in text
    assert "More reviews in the portal" in text
    assert "Research use only. Not a diagnosis." in text


def test_markup_in_a_comment_is_text(clinic: Clinic) -> None:
    study = study_of(clinic)
    say(make_access(clinic), study, "normal", comment="<font size=99>x</font> & <b>")

    assert "<font size=99>x</font> & <b>" in report_of(study).pages[0].extract_text()


def test_missing_files_are_named(clinic: Clinic) -> None:
    study = study_of(clinic)
    finding = Finding.objects.get(analysis=study.current)
    default_storage.delete(finding.overlay_file)
    text = report_of(study).pages[0].extract_text()
    assert "No heatmap for this view." in text
    assert "Strongest evidence" not in text
    default_storage.delete(finding.display_file)
    assert "could not be shown on this page" in report_of(study).pages[0].extract_text()


def test_an_incomplete_study_says_how_many_views_it_lacks(clinic: Clinic) -> None:
    study = make_study(clinic, views=3)
    claim = make_analysis(study, Analysis.State.RUNNING)
    assert steps.complete(claim=claim, result=result_for(claim, unreadable=(study.images.all()[2],)))
    study.refresh_from_db()

    assert "Incomplete: 1 of 3 views could not be analysed" in report_of(study).pages[0].extract_text()


def test_an_unsupported_study(clinic: Clinic) -> None:
    study = make_study(clinic)
    make_analysis(study, verdict="unsupported", probability=None, body_part="", body_parts={})

    assert "Unsupported" in report_of(study).pages[0].extract_text()


def test_a_sender_who_sees_no_reviews_gets_none_on_paper(clinic: Clinic) -> None:
    uploader, reader = make_access(clinic, Role.UPLOADER), make_access(clinic, last_name="Reader")
    study = make_study(clinic, make_submission(clinic, uploader.user))
    make_analysis(study)
    say(reader, study, "normal", comment="Between colleagues.")

    def printed(access: ClinicAccess) -> str:
        client = Client()
        client.force_login(access.user)
        answer = client.get(reverse("report", args=[clinic.slug, study.pk]))
        return PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()

    for words in ("Between colleagues.", "Reader", "No fracture seen"):
        assert words in printed(reader)
        assert words not in printed(uploader)
    assert "Fracture suspected" in printed(uploader)


def test_a_large_radiograph_costs_no_more_than_its_file(clinic: Clinic) -> None:
    """Decoded, 4,000 by 4,000 pixels would be 16 MB grey and 64 MB as RGBA."""
    study = study_of(clinic, size=(4000, 4000))
    facts = facts_of(study, clinic=clinic)
    view = facts.printed_view
    size = default_storage.size(view.display_file) + default_storage.size(view.overlay_file)
    render_report(facts, storage=default_storage)  # the fonts are loaded once per process

    tracemalloc.start()
    try:
        render_report(facts, storage=default_storage)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * size + 3_000_000
