"""C-STORE: one association for a result's objects."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import time

from xrayportal.dicom.models import Destination
from xrayportal.dicom.networks import permitted_address
from xrayportal.dicom.transport.errors import SendingError

_CONNECT_SECONDS, _SILENT_SECONDS = 10, 60
#: A person waits for the answer of an echo.
_ECHO_SECONDS = 5
#: Why an association was rejected (PS3.8, table 9-21), by source and reason.
_REJECTED = {(1, 3): "calling-unknown", (1, 7): "called-unknown"}
#: Stored, with a remark of the archive's: it changed an element, say (PS3.4, B.2.3).
_WARNINGS = range(0xB000, 0xC000)


def c_store(destination: Destination, objects: Sequence[Dataset]) -> None:
    """Send objects; returns when each was acknowledged. Raises `SendingError`, `NotPermittedError`."""
    association = _associate(destination, sorted({str(one.SOPClassUID) for one in objects}))
    try:
        for one in objects:
            _store(association, one)
    finally:
        if association.is_established:
            association.release()


def c_echo(destination: Destination) -> None:
    """Ask whether the destination answers to us, within seconds. Raises as `c_store`."""
    association = _associate(destination, [str(Verification)], connect=_ECHO_SECONDS, silent=_ECHO_SECONDS)
    try:
        status = association.send_c_echo()
    except RuntimeError as error:  # the association ended meanwhile
        raise SendingError("interrupted") from error
    finally:
        if association.is_established:
            association.release()
    code = status.get("Status")
    if code != 0x0000:
        raise SendingError("interrupted" if code is None else "refused", _hex(code))


def _associate(
    destination: Destination,
    classes: Sequence[str],
    *,
    connect: float = _CONNECT_SECONDS,
    silent: float = _SILENT_SECONDS,
) -> Association:
    ae = AE(ae_title=destination.calling_ae_title)
    ae.connection_timeout = connect
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = silent
    for storage_class in classes:
        ae.add_requested_context(storage_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    port = destination.port or 0
    connected: list[evt.Event] = []
    try:
        address = permitted_address(destination.host, port)
        tls = (_tls_context(), destination.host) if destination.uses_tls else None
        association = ae.associate(
            address,
            port,
            ae_title=destination.ae_title,
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, connected.append)],
        )
    except socket.gaierror as error:
        raise SendingError("host-unknown") from error
    except OSError as error:
        raise SendingError("unreachable") from error
    if not association.is_established:
        raise _failure(association, is_connected=bool(connected), over_tls=destination.uses_tls)
    return association


def _failure(association: Association, *, is_connected: bool, over_tls: bool) -> SendingError:
    """Why there is no association."""
    if association.is_rejected:
        answer: Any = association.acceptor.primitive
        source, reason = (answer.result_source, answer.diagnostic) if answer is not None else (0, 0)
        kind = _REJECTED.get((source, reason))
        return SendingError(kind) if kind else SendingError("association-rejected", f"{source}/{reason}")
    # Where the other side takes none of the classes, pynetdicom ends the association by itself.
    if association.rejected_contexts:
        return SendingError("class-refused")
    if is_connected:
        return SendingError("not-dicom")
    return SendingError("unreachable-over-tls" if over_tls else "unreachable")


def _store(association: Association, one: Dataset) -> None:
    try:
        status = association.send_c_store(one)
    except ValueError as error:  # no presentation context for its class
        raise SendingError("class-refused") from error
    except RuntimeError as error:  # the association ended meanwhile
        raise SendingError("interrupted") from error
    code = status.get("Status")
    if code is None:
        raise SendingError("interrupted")
    if code != 0x0000 and code not in _WARNINGS:
        raise SendingError("refused", _hex(code))


def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.DICOM_TLS_DESTINATIONS_CA or None)


def _hex(code: int | None) -> str:
    return "" if code is None else f"0x{code:04X}"
