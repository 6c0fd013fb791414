"""DICOM over TLS: the node's certificate, and certificates of callers where they are asked for."""

from __future__ import annotations

import datetime
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone

from tests.dicom.conftest import CALLED, CALLING
from tests.dicom.peers import needs_peers
from tests.factories import dicom
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.models import Destination, Listener
from xrayportal.dicom.node.process import tls_context
from xrayportal.dicom.node.server import Receiver
from xrayportal.dicom.transport.c_store import c_echo
from xrayportal.dicom.transport.errors import SendingError
from xrayportal.studies.models import Image

pytestmark = needs_peers


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of its own authority for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    address = x509.DNSName("localhost")
    now = timezone.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


@pytest.fixture
def files(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    return {name: certificate(tmp_path, name) for name in ("node", "caller", "stranger")}


@pytest.fixture
def node(clinic: Clinic, files: dict[str, tuple[Path, Path]], settings: Any) -> Iterator[Receiver]:
    """A receiver that asks callers for a certificate, at an AE title for TLS only."""
    Listener.objects.update(requires_tls=True)
    settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY = map(str, files["node"])
    settings.DICOM_TLS_CALLERS_CA = str(files["caller"][0])
    receiver = Receiver("127.0.0.1", 0, tls_context())
    yield receiver
    receiver.stop()


def store(node: Receiver, file: Path, files: dict[str, tuple[Path, Path]], caller: str) -> int:
    certificate, key = files[caller]
    command = ["storescu", "-aet", CALLING, "-aec", CALLED, "+tls", str(key), str(certificate), "+ps"]
    command += ["+cf", str(files["node"][0]), "localhost", str(node.port), str(file)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def test_callers_with_a_certificate_are_let_in(
    node: Receiver, files: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    file = tmp_path / "image.dcm"
    file.write_bytes(dicom(rows=400, columns=400))
    assert store(node, file, files, "stranger") != 0
    assert not Image.objects.exists()
    assert store(node, file, files, "caller") == 0
    assert Image.objects.count() == 1


def test_a_silent_connection_holds_up_nobody(
    node: Receiver, files: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    file = tmp_path / "image.dcm"
    file.write_bytes(dicom())
    with socket.create_connection(("127.0.0.1", node.port)) as silent:
        assert store(node, file, files, "caller") == 0
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # the node still waits for what it says
            silent.recv(1)


def test_a_destination_must_show_a_certificate_of_its_name(
    clinic: Clinic, files: dict[str, tuple[Path, Path]], settings: Any
) -> None:
    """Our own node, asking no certificate, is the destination."""
    settings.DICOM_DESTINATION_NETWORKS = ["127.0.0.0/8", "::1/128"]
    settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY = map(str, files["node"])
    receiver = Receiver("127.0.0.1", 0, tls_context())
    destination = Destination(
        clinic=clinic, ae_title=CALLED, calling_ae_title=CALLING, port=receiver.port, uses_tls=True
    )
    try:
        for host, authority, arrives in (
            ("localhost", "node", True),
            ("localhost", "stranger", False),
            ("127.0.0.1", "node", False),  # the certificate names localhost
        ):
            destination.host = host
            settings.DICOM_TLS_DESTINATIONS_CA = str(files[authority][0])
            if arrives:
                c_echo(destination)
            else:
                with pytest.raises(SendingError, match="unreachable-over-tls"):
                    c_echo(destination)
    finally:
        receiver.stop()
