"""STOW-RS (PS3.18, 10.5): one request with all objects of a result."""

from __future__ import annotations

import io
import secrets
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import urllib3
from django.conf import settings
from pydicom import Dataset
from urllib3.exceptions import HTTPError, ProtocolError, SSLError

from xrayportal.dicom.models import Destination
from xrayportal.dicom.networks import permitted_address
from xrayportal.dicom.services import CREDENTIALS
from xrayportal.dicom.transport.errors import SendingError
from xrayportal.encryption import decrypt

_TIMEOUT = urllib3.Timeout(connect=10, read=60)
#: A person waits for the answer to `ask`.
_ASKING_TIMEOUT = urllib3.Timeout(connect=5, read=5)
#: What a status means where it is more than "refused".
_KINDS = {401: "credentials-refused", 403: "credentials-refused"}
#: All stored. 202 means that some failed or were changed; the answer's list of failures decides.
_STORED, _PARTLY = 200, 202
_FAILED_SEQUENCE = b"00081198"
_MOST_ANSWER_BYTES = 1_000_000


def stow(destination: Destination, objects: Sequence[Dataset]) -> None:
    """Send objects; returns when every one of them was stored. Raises `SendingError`, `NotPermittedError`."""
    boundary = secrets.token_hex(16)
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    status, content = _answer(destination, "POST", headers, _body(objects, boundary), _TIMEOUT)
    if status == _STORED or (status == _PARTLY and _FAILED_SEQUENCE not in content):
        return
    raise SendingError(_KINDS.get(status, "refused"), f"HTTP {status}")


def ask(destination: Destination) -> str:
    """Ask what the address takes, within seconds; returns the status of an answer that is no refusal.

    Nothing is stored. Raises as `stow`.
    """
    status, _content = _answer(destination, "OPTIONS", {}, b"", _ASKING_TIMEOUT)
    # Many servers know no OPTIONS (405, 501); what they answer shows that they are there.
    if status in _KINDS or status == 404 or 300 <= status < 400 or (status >= 500 and status != 501):
        raise SendingError(_KINDS.get(status, "refused"), f"HTTP {status}")
    return f"HTTP {status}"


def _answer(
    destination: Destination, method: str, headers: dict[str, str], body: bytes, timeout: urllib3.Timeout
) -> tuple[int, bytes]:
    """Send one request to the destination's address; the status, and the beginning of the answer."""
    parts = urlsplit(destination.url)
    host, is_https = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_https else 80)
    try:
        address = permitted_address(host, port)
    except socket.gaierror as error:
        raise SendingError("host-unknown") from error
    except OSError as error:
        raise SendingError("unreachable") from error
    headers = {"Host": parts.netloc.rpartition("@")[2], **headers, **_authorization(destination)}
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
                method,
                parts.path or "/",
                body=body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content = answer.read(_MOST_ANSWER_BYTES)
        except SSLError as error:
            raise SendingError("unreachable-over-tls") from error
        except ProtocolError as error:
            raise SendingError("interrupted") from error
        except (HTTPError, OSError) as error:
            raise SendingError("unreachable") from error
    return answer.status, content


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
