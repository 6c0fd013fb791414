"""Orthanc → portal → Orthanc: a study of an archive comes back into the same study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.dicom.conftest import Node
from tests.dicom.orthanc import TITLE, Orthanc, orthanc
from tests.dicom.peers import needs_peers
from tests.dicom.worlds import analysed
from tests.factories import dicom, make_user
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Role
from xrayportal.dicom.models import Delivery, Destination
from xrayportal.dicom.sending import Sender
from xrayportal.studies.models import Study, Submission
from xrayportal.tokens.services import create_token

pytestmark = [pytest.mark.slow, needs_peers]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def test_an_archive_sends_by_stow(archive: Orthanc, clinic: Clinic, live_server: Any) -> None:
    """With its own DICOMweb client, and a token of the clinic."""
    admin = make_user(clinic, Role.ADMIN)
    _token, secret = create_token(
        clinic=clinic,
        actor=Actor(admin),
        name="bridge",
        role="uploader",
        scopes=["submissions:write"],
        days=1,
    )
    study = generate_uid()
    for shade in (700, 800, 900):
        archive.store(dicom(shade=shade, study_uid=study, patient_id="P-stow-in"))
    archive.send_by_stow(study, live_server.url, secret)
    assert Study.objects.get().images.count() == 3
    assert Submission.objects.get().sender == "bridge"


@pytest.mark.parametrize("protocol", Destination.Protocol.values)
def test_a_study_comes_back_into_its_own_study(
    archive: Orthanc, node: Node, protocol: str, settings: Any, tmp_path: Path
) -> None:
    settings.DICOM_DESTINATION_NETWORKS = ["127.0.0.0/8"]
    Destination.objects.create(
        clinic=node.clinic,
        name="Archive",
        protocol=protocol,
        ae_title=TITLE,
        calling_ae_title="PORTAL",
        host="127.0.0.1",
        port=archive.port,
        url=archive.dicomweb,
    )
    study_uid, series = generate_uid(), generate_uid()
    for shade in (700, 800):
        archive.store(
            dicom(shade=shade, study_uid=study_uid, SeriesInstanceUID=series, patient_id=f"P-{protocol}")
        )
    patients = archive.patients()
    archive.send_to_portal(study_uid, node.port)
    study = Study.objects.get()
    assert study.images.count() == 2
    analysed(study)
    assert Sender().round() == 1, Delivery.objects.values("error_kind", "error_code")
    assert archive.modalities_of(study_uid) == ["CR", "CR", "OT", "OT", "PR", "PR", "SR"]
    assert archive.patients() == patients
    # The same again changes nothing: an answer may have been lost.
    Delivery.objects.update(state=Delivery.State.WAITING)
    assert Sender().round() == 1
    assert len(archive.modalities_of(study_uid)) == 7
