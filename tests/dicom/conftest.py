"""A DICOM node in this process, with a clinic that knows one caller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.factories import make_clinic
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.models import Caller, Listener, ReturnSettings
from xrayportal.dicom.node.server import Receiver

CALLED, CALLING = "PORTAL", "PACS"


@dataclass(frozen=True)
class Node:
    """A running receiver and the clinic behind it."""

    clinic: Clinic
    receiver: Receiver

    @property
    def port(self) -> int:
        return self.receiver.port


@pytest.fixture
def clinic(transactional_db: None) -> Clinic:
    """A clinic that listens, knows one caller on this machine, and sends results back."""
    clinic = make_clinic()
    Listener.objects.create(clinic=clinic, ae_title=CALLED)
    Caller.objects.create(clinic=clinic, ae_title=CALLING, network="127.0.0.0/8")
    ReturnSettings.objects.create(clinic=clinic, when=ReturnSettings.When.FINAL)
    return clinic


@pytest.fixture
def node(clinic: Clinic) -> Iterator[Node]:
    """A receiver on a free port of this machine."""
    receiver = Receiver("127.0.0.1", 0)
    yield Node(clinic, receiver)
    receiver.stop()
