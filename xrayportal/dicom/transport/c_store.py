"""C-STORE: one association for a result's objects."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from django.conf import settings
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import time

from xrayportal.dicom.models import Destination
from xrayportal.dicom.networks import permitted_address
from xrayportal.dicom.transport.errors import SendingError

_CONNECT_SECONDS, _SILENT_SECONDS = 10, 60
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
    """Ask whether the destination answers to us. Raises `SendingError`, `NotPermittedError`."""
    association = _associate(destination, [str(Verification)])
    try:
        status = association.send_c_echo()
    finally:
        association.release()
    if status.get("Status") != 0x0000:
        raise SendingError("refused", _hex(status.get("Status")))


def _associate(destination: Destination, classes: Sequence[str]) -> Association:
    ae = AE(ae_title=destination.calling_ae_title)
    ae.connection_timeout = _CONNECT_SECONDS
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _SILENT_SECONDS
    for storage_class in classes:
        ae.add_requested_context(storage_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    port = destination.port or 0
    try:
        address = permitted_address(destination.host, port)
        tls = (_tls_context(), destination.host) if destination.uses_tls else None
        association = ae.associate(address, port, ae_title=destination.ae_title, tls_args=tls)
    except OSError as error:
        raise SendingError("unreachable") from error
    if association.is_rejected:
        raise SendingError("association-rejected")
    if not association.is_established:
        # Where the other side takes none of the classes, pynetdicom ends the association by itself.
        raise SendingError("class-refused" if association.rejected_contexts else "unreachable")
    return association


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
