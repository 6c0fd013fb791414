"""STOW-RS (PS3.18, 10.5): one request with all objects of a result."""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

import urllib3
from django.conf import settings
from pydicom import Dataset
from urllib3.exceptions import HTTPError

from xrayportal.dicom.models import Destination
from xrayportal.dicom.networks import permitted_address
from xrayportal.dicom.services import CREDENTIALS
from xrayportal.dicom.transport.errors import SendingError
from xrayportal.encryption import decrypt

_TIMEOUT = urllib3.Timeout(connect=10, read=60)
#: All stored. 202 means that some failed or were changed; the answer's list of failures decides.
_STORED, _PARTLY = 200, 202
_FAILED_SEQUENCE = b"00081198"
_MOST_ANSWER_BYTES = 1_000_000


def stow(destination: Destination, objects: Sequence[Dataset]) -> None:
    """Send objects; returns when every one of them was stored. Raises `SendingError`, `NotPermittedError`."""
    parts = urlsplit(destination.url)
    host, is_https = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_https else 80)
    try:
        address = permitted_address(host, port)
    except OSError as error:
        raise SendingError("unreachable") from error
    boundary = secrets.token_hex(16)
    headers = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
        **_authorization(destination),
    }
    # The very address that was checked; the certificate is still that of the name.
    pool: urllib3.HTTPConnectionPool = (
        urllib3.HTTPSConnectionPool(
            address,
            port,
            server_hostname=host,
            assert_hostname=host,
            ca_certs=settings.DICOM_TLS_DESTINATIONS_CA or None,
        )
        if is_https
        else urllib3.HTTPConnectionPool(address, port)
    )
    with pool:
        try:
            answer = pool.request(
                "POST",
                parts.path or "/",
                body=_body(objects, boundary),
                headers=headers,
                timeout=_TIMEOUT,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content = answer.read(_MOST_ANSWER_BYTES)
        except (HTTPError, OSError) as error:
            raise SendingError("unreachable") from error
    if answer.status == _STORED or (answer.status == _PARTLY and _FAILED_SEQUENCE not in content):
        return
    raise SendingError("refused", f"HTTP {answer.status}")


def _body(objects: Sequence[Dataset], boundary: str) -> bytes:
    out = io.BytesIO()
    for one in objects:
        out.write(f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        file = io.BytesIO()
        one.save_as(file, enforce_file_format=True)
        out.write(file.getvalue())
        out.write(b"\r\n")
    out.write(f"--{boundary}--\r\n".encode())
    return out.getvalue()


def _authorization(destination: Destination) -> dict[str, str]:
    if not destination.credentials:
        return {}
    key = destination.clinic.pseudonym_key
    plain = decrypt(destination.credentials, key=key, purpose=CREDENTIALS, row=str(destination.pk))
    return {"Authorization": plain.decode()}
