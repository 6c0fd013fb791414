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
from tests.factories import dicom
from xrayportal.dicom.models import Delivery, Destination
from xrayportal.dicom.sending import Sender
from xrayportal.studies.models import Study

pytestmark = [pytest.mark.slow, needs_peers]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


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
