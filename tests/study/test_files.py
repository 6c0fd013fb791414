"""Stored files are sent only after a permission check, privately, under the portal's own names."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.urls import reverse

from tests.factories import dicom, jpeg, make_analysis, make_image, make_study, make_submission
from tests.house import House, body, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.studies.models import Image, Study

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(house: House) -> Study:
    study = make_study(submission=make_submission(house.clinic, house.uploader), views=0)
    make_image(study, jpeg(), media_type="image/jpeg")
    make_analysis(study)
    return study


def finding_address(study: Study, kind: str) -> str:
    assert study.current is not None
    return reverse("finding-file", args=[study.clinic.slug, study.current.findings.get().pk, kind])


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("display", "image/jpeg"),
        ("thumbnail", "image/jpeg"),
        ("overlay", "image/png"),
        ("map", "application/json"),
    ],
)
def test_files_of_a_finding(house: House, study: Study, kind: str, media_type: str) -> None:
    client, address = browser(house.reader), finding_address(study, kind)
    response = client.get(address)
    content = body(response)
    assert content
    assert response.headers["Content-Type"] == media_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "private, max-age=86400, immutable"
    assert "Cookie" in response.headers["Vary"]
    unchanged = client.get(address, headers={"if-none-match": response.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == response.headers["ETag"]
    assert browser(house.stranger).get(address, headers={"if-none-match": "*"}).status_code == 404


def test_a_file_that_is_gone_is_a_404_and_no_look(house: House, study: Study) -> None:
    """Its study was deleted a moment ago, or the files were restored from an older backup."""
    assert study.current is not None
    image = study.images.get()
    for name in (study.current.findings.get().display_file, image.file):
        default_storage.delete(name)
    client = browser(house.reader)
    assert client.get(finding_address(study, "display")).status_code == 404
    assert client.get(reverse("image-file", args=[study.clinic.slug, image.pk])).status_code == 404
    assert not AuditEvent.objects.filter(action=Action.IMAGE_VIEWED).exists()


def test_a_finding_without_a_map_has_no_map_file(house: House, study: Study) -> None:
    assert study.current is not None
    study.current.findings.update(
        verdict="unsupported", probability=None, trust=None, map_file="", overlay_file=""
    )
    client = browser(house.reader)
    assert client.get(finding_address(study, "map")).status_code == 404
    assert client.get(finding_address(study, "overlay")).status_code == 404
    assert body(client.get(finding_address(study, "display")))


@pytest.mark.parametrize("kind", ["overlay", "map"])
def test_blind_readers_get_no_file_that_tells(house: House, study: Study, kind: str) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    assert browser(house.reader).get(finding_address(study, kind)).status_code == 404
    display = browser(house.reader).get(finding_address(study, "display"))
    assert display.status_code == 200
    body(display)
    assert body(browser(house.admin).get(finding_address(study, kind)))


def test_original_is_an_attachment_and_audited(house: House, study: Study) -> None:
    image = study.images.get()
    response = browser(house.reader).get(reverse("image-file", args=[house.clinic.slug, image.pk]))
    assert body(response) == jpeg()
    assert response.headers["Content-Disposition"] == f'attachment; filename="{image.pk}.jpg"'
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    event = AuditEvent.objects.get(action=Action.IMAGE_VIEWED)
    assert (event.target_id, event.study_id) == (str(image.pk), study.pk)
    assert event.actor_label == house.reader.email


def test_dicom_original_goes_out_without_the_person(sender: Any) -> None:
    sender.send_all({"a.dcm": dicom()})
    image = Image.objects.get()
    response = sender.client.get(reverse("image-file", args=[sender.clinic.slug, image.pk]))
    content = body(response)
    assert content[128:132] == b"DICM"
    assert b"Mustermann" not in content
    assert response.headers["Content-Type"] == "application/dicom"
    assert response.headers["Content-Disposition"].endswith('.dcm"')


def test_there_is_no_other_way_to_a_file(house: House, study: Study, settings: Any) -> None:
    name = study.images.get().file
    client = browser(house.admin)
    for address in (f"/{name}", f"{settings.MEDIA_URL}{name}", f"/media/{name}", f"/static/../{name}"):
        assert client.get(address).status_code == 404
