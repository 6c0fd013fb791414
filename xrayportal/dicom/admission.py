"""Who may send to which clinic: the called AE title names the clinic, title and address name the caller.

An AE title is a name, not a proof. The address is one where the network is the hospital's own; over TLS the
node can ask for a certificate besides (docs/dicom.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from xrayportal.clinics.models import Clinic
from xrayportal.dicom.models import Caller, Listener


class NotAdmittedError(Exception):
    """An association that is rejected; ``reason`` is the code of PS3.8, table 9-21."""

    reason = 0x01


class UnknownCalledError(NotAdmittedError):
    """No clinic has the called AE title, or only over TLS."""

    reason = 0x07


class UnknownCallerError(NotAdmittedError):
    """The clinic knows no such caller at this address."""

    reason = 0x03


@dataclass(frozen=True, slots=True)
class Admission:
    """A caller that may send to its clinic, until the association ends."""

    clinic: Clinic
    caller: Caller
    address: str


def admit(*, called: str, calling: str, address: str, over_tls: bool) -> Admission:
    """Find the clinic and the caller of an association. Raises `NotAdmittedError`."""
    listener = Listener.objects.select_related("clinic").filter(ae_title=called.strip()).first()
    if listener is None or (listener.requires_tls and not over_tls):
        raise UnknownCalledError
    for caller in Caller.objects.filter(clinic=listener.clinic, ae_title=calling.strip()):
        if caller.has_address(address):
            return Admission(listener.clinic, caller, address)
    raise UnknownCallerError
