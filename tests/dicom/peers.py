"""What the tests of DICOM speak to: ``python -m tests.dicom.peers`` sees that it is there.

Orthanc, dcmtk and dicom3tools come from the system's packages; root gets them from apt. Without them the
tests that need them are skipped, and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("orthanc", "orthanc-dicomweb", "dcmtk", "dicom3tools")
_FILES = ("/usr/sbin/Orthanc", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_PROGRAMS = ("storescu", "echoscu", "dciodvfy")

needs_peers = pytest.mark.skipif(
    not all(map(shutil.which, _PROGRAMS)) or not all(Path(file).exists() for file in _FILES),
    reason=f"the system's packages {', '.join(PACKAGES)} are not installed",
)


def provide() -> None:
    """Install what is missing, where that is possible; nothing more is done without root and apt."""
    if not needs_peers.args[0] or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    sys.stdout.write("Installing Orthanc and dcmtk for the tests of DICOM …\n")
    sys.stdout.flush()
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    for command in (["apt-get", "update", "-qq"], install):
        subprocess.run(
            command,
            # Orthanc's package would start it as a service.
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
            stdout=subprocess.DEVNULL,
            check=False,
        )


if __name__ == "__main__":
    provide()
