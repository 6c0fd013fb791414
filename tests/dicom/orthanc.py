"""A real archive beside the portal: Orthanc with its DICOMweb plug-in, from the system's packages."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE
from xrayportal.embedded.ports import choose_port

#: As the clinic of the tests knows its caller.
TITLE = "PACS"
PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
_PLUGINS = ("libOrthancDicomWeb.so",)


@dataclass(frozen=True)
class Orthanc:
    """A running archive: its ports, and its REST interface."""

    port: int
    http: int

    @property
    def dicomweb(self) -> str:
        """Where STOW-RS goes."""
        return f"http://127.0.0.1:{self.http}/dicom-web/studies"

    def ask(self, path: str, body: bytes | dict[str, Any] | None = None, method: str | None = None) -> Any:
        """Ask its REST interface; the answer, parsed where it is JSON."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers["Content-Type"] else content

    def store(self, data: bytes) -> None:
        """Put an object into the archive."""
        self.ask("/instances", data)

    def send_to_portal(self, study: str, port: int) -> None:
        """Send a study (by its UID) to the portal by C-STORE, as its users would."""
        self.ask(
            "/modalities/portal",
            {"AET": "PORTAL", "Host": "127.0.0.1", "Port": port, "AllowStore": True},
            "PUT",
        )
        self.ask("/modalities/portal/store", json.dumps(self._study(study)["ID"]).encode())

    def send_by_stow(self, study: str, portal: str, secret: str) -> None:
        """Send a study to the portal by STOW-RS, with an API token."""
        server = {
            "Url": f"{portal}/dicom-web/",
            "HttpHeaders": {"Authorization": f"Bearer {secret}"},
            "ChunkedTransfers": False,  # Django's test server takes none; gunicorn does
        }
        self.ask("/dicom-web/servers/portal", server, "PUT")
        wanted = {"Resources": [self._study(study)["ID"]], "Synchronous": True}
        self.ask("/dicom-web/servers/portal/stow", wanted)

    def modalities_of(self, study: str) -> list[str]:
        """The modality of every object in a study, sorted."""
        found = self._study(study)
        instances = self.ask(f"/studies/{found['ID']}/instances?requestedTags=Modality")
        series = {one["ParentSeries"] for one in instances}
        by_series = {one: self.ask(f"/series/{one}")["MainDicomTags"].get("Modality", "") for one in series}
        return sorted(by_series[one["ParentSeries"]] for one in instances)

    def patients(self) -> int:
        """How many patients it has."""
        return len(self.ask("/patients"))

    def _study(self, study: str) -> dict[str, Any]:
        query = {"Level": "Study", "Expand": True, "Query": {"StudyInstanceUID": study}}
        found: list[dict[str, Any]] = self.ask("/tools/find", query)
        assert len(found) == 1, f"Orthanc has {len(found)} studies {study}"
        return found[0]


@contextmanager
def orthanc(folder: Path) -> Iterator[Orthanc]:
    """Run an archive on free ports, its data in ``folder``."""
    dicom, http = choose_port(), choose_port()
    plugins = folder / "plugins"
    plugins.mkdir(parents=True)
    for name in _PLUGINS:
        (plugins / name).symlink_to(Path("/usr/share/orthanc/plugins") / name)
    settings = {
        "Name": "ARCHIVE",
        "StorageDirectory": str(folder / "data"),
        "IndexDirectory": str(folder / "data"),
        "HttpPort": http,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": TITLE,
        "DicomPort": dicom,
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": False,
        "Plugins": [str(plugins)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "Servers": {}},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings))
    log = (folder / "log").open("wb")
    with log, subprocess.Popen([PROGRAM, str(path)], stdout=log, stderr=log, cwd=folder) as process:
        archive = Orthanc(dicom, http)
        try:
            _wait(archive, process)
            yield archive
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _wait(archive: Orthanc, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            archive.ask("/system")
        except OSError:
            assert process.poll() is None, "Orthanc ended by itself"
            assert time.monotonic() < deadline, "Orthanc does not answer"
            time.sleep(0.1)
        else:
            return
