"""A thousand images from an archive through the portal and back, while the receiver is killed; and its rate.

``make orthanc``: Orthanc and dcmtk's storescu as peers; node, worker and reconciler as real processes.
``IMAGES=200`` sends fewer. Not part of the suite; docs/dicom.md has the figures of one run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pydicom.uid import generate_uid

from tests.dicom.conftest import CALLED, CALLING
from tests.dicom.orthanc import TITLE, Orthanc, orthanc
from tests.factories import dicom
from tests.live.conftest import BUNDLE, Portal, kill, portal, redis_server, until
from xrayportal.analyses.bundles import register_bundle
from xrayportal.analyses.models import Analysis
from xrayportal.audit.services import verify
from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.models import Delivery, Destination
from xrayportal.embedded.ports import choose_port
from xrayportal.studies.models import Image, Study, Upload

__all__ = ["portal", "redis_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

IMAGES = int(os.environ.get("IMAGES", "1000"))
A_STUDY = 10
#: Width and height of an image of 6 MB, and of one for the batch.
LARGE, SMALL = (2000, 1550), (512, 512)
RATE = 20.0


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc") as running:
        yield running


def node(running: Portal, port: int) -> Any:
    """The DICOM node as the Procfile starts it, ready."""
    process = running.start(
        "dicom",
        "manage.py",
        "dicom_node",
        DICOM_PORT=str(port),
        DICOM_DESTINATION_NETWORKS="127.0.0.0/8",
    )
    until(lambda: answers(port), 60)
    return process


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def image(rng: np.random.Generator, size: tuple[int, int], **attributes: Any) -> bytes:
    rows, columns = size
    pixels = rng.integers(0, 4096, size, dtype=np.uint16).tobytes()
    return dicom(rows=rows, columns=columns, pixels=pixels, **attributes)


def test_a_batch_comes_whole_while_the_receiver_is_killed(
    clinic: Clinic, portal: Portal, archive: Orthanc
) -> None:
    bundle = register_bundle(folder=BUNDLE, activate=True, actor=COMMAND_LINE)
    assert bundle.is_active
    Destination.objects.create(
        clinic=clinic,
        name="Archive",
        ae_title=TITLE,
        calling_ae_title=CALLED,
        host="127.0.0.1",
        port=archive.port,
    )
    rng = np.random.default_rng(1)
    studies = [generate_uid() for _ in range(IMAGES // A_STUDY)]
    for number, study in enumerate(studies):
        for _view in range(A_STUDY):
            archive.store(image(rng, SMALL, study_uid=study, patient_id=f"P{number}"))
    port = choose_port()
    process = node(portal, port)
    portal.worker()
    portal.reconciler(SEAL_AFTER_SECONDS="5")

    def send(study: str) -> int:
        """Send a study until the archive has every answer, as archives do; how often it took."""
        for attempt in range(1, 200):
            try:
                archive.send_to_portal(study, port)
            except urllib.error.HTTPError:
                time.sleep(0.5)
            else:
                return attempt
        raise AssertionError("the portal never took the study")

    begun = time.monotonic()
    with ThreadPoolExecutor(3) as senders:
        sending = [senders.submit(send, study) for study in studies]
        until(lambda: Image.objects.count() > IMAGES / 3, 1200)
        kill(process)
        acknowledged = Image.objects.count()
        node(portal, port)
        attempts = [one.result() for one in sending]
    took = time.monotonic() - begun
    assert (Image.objects.count(), Study.objects.count()) == (IMAGES, len(studies))
    assert Image.objects.count() == Upload.objects.values("image").distinct().count()
    until(lambda: Delivery.objects.filter(state="sent").count() == len(studies), 1800)
    for study in studies:
        assert archive.modalities_of(study).count("SR") == 1
    assert archive.patients() == len(studies)
    assert Analysis.objects.exclude(state="succeeded").count() == 0
    assert verify(clinic=clinic).is_whole
    print(  # noqa: T201  the figures are what it is run for
        f"\n{IMAGES} images in {len(studies)} studies, the node killed after {acknowledged}: all here once "
        f"in {took:.0f} s, {sum(attempts) - len(studies)} studies sent again; every result in its own study "
        f"{time.monotonic() - begun:.0f} s after the first image was sent"
    )


@pytest.mark.parametrize("senders", [1, 2, 4])
def test_the_rate(clinic: Clinic, portal: Portal, tmp_path: Path, senders: int) -> None:
    """Images of 6 MB, each committed before it is acknowledged, over so many associations at once."""
    rng = np.random.default_rng(senders)
    count = max(IMAGES // 5, 20)
    files = [tmp_path / f"{number}.dcm" for number in range(count)]
    study = generate_uid()
    for path in files:
        path.write_bytes(image(rng, LARGE, study_uid=study))
    port = choose_port()
    process = psutil.Process(node(portal, port).pid)
    before = process.cpu_times()
    program = shutil.which("storescu") or "storescu"
    titles = ["-aet", CALLING, "-aec", CALLED, "-pdu", "131072", "127.0.0.1", str(port)]
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([program, *titles, *map(str, files[part::senders])]))
            for part in range(senders)
        ]
        assert [process.wait() for process in processes] == [0] * senders
    after = process.cpu_times()
    rate = count / (time.monotonic() - begun)
    assert Image.objects.count() == count
    print(  # noqa: T201
        f"\n{senders} at once: {rate:.1f} images of 6 MB a second (promised with several: {RATE:.0f}); "
        f"the node took {(sum(after[:2]) - sum(before[:2])) / count * 1000:.0f} ms of processor time for each"
    )
