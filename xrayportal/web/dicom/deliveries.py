"""Where a study's result was sent, as its page tells, and how a clinic's destinations do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery
from django.utils.functional import cached_property

from xrayportal.access import ClinicAccess, Permission
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.deliveries import needs_signature
from xrayportal.dicom.identifiers import return_settings
from xrayportal.dicom.models import Delivery, Destination, StudyReturn
from xrayportal.studies.models import Study
from xrayportal.web.dicom.connections import ShownConnection
from xrayportal.words.deliveries import delivery_reason


@dataclass(frozen=True)
class ShownDelivery:
    """One delivery with its reason in words."""

    row: Delivery

    @property
    def reason(self) -> str:
        """Why the newest attempt failed; empty where none did."""
        return delivery_reason(self.row.error_kind, self.row.error_code)

    @property
    def next_attempt(self) -> datetime | None:
        """When it is tried again, after a failure."""
        is_waiting = self.row.state == Delivery.State.WAITING
        return self.row.not_before if is_waiting and self.row.attempts else None

    @property
    def may_retry(self) -> bool:
        """Whether a person can ask for an attempt now."""
        return self.row.state == Delivery.State.FAILED or self.next_attempt is not None


@dataclass(frozen=True)
class StudyDeliveries:
    """The deliveries of a study's result; ``waits_for_signature`` where none is made before readers agree."""

    rows: list[ShownDelivery]
    waits_for_signature: bool

    @cached_property
    def polls(self) -> bool:
        """Whether one is on its way."""
        return any(shown.row.state in Delivery.UNFINISHED for shown in self.rows)


def deliveries_of(access: ClinicAccess, study: Study) -> StudyDeliveries | None:
    """The newest delivery to each destination; None for people who see their own studies only, and where
    nothing of the study is or was to be sent.
    """
    if not access.may(Permission.SEE_ALL):
        return None
    rows = Delivery.objects.filter(study=study).exclude(state=Delivery.State.WITHDRAWN)
    if rows.exists():
        newest = rows.order_by("destination_id", "-created_at").distinct("destination_id")
        shown = [ShownDelivery(row) for row in newest.select_related("destination")]
        return StudyDeliveries(shown, waits_for_signature=False)
    waits = StudyReturn.objects.filter(study=study).exists()
    if not waits or not Destination.objects.filter(clinic=access.clinic).exists():
        return None
    return StudyDeliveries([], waits_for_signature=needs_signature(return_settings(access.clinic)))


@dataclass(frozen=True)
class ShownDestination:
    """A destination, the newest delivery to it that was tried, and the newest test of its connection."""

    row: Destination
    newest: ShownDelivery | None

    @property
    def connection(self) -> ShownConnection:
        """The newest test of its connection."""
        return ShownConnection(self.row)


def newest_of(clinic: Clinic) -> list[ShownDestination]:
    """The clinic's destinations, each with its newest delivery."""
    tried = Delivery.objects.filter(destination=OuterRef("pk"), attempts__gt=0).order_by("-created_at")
    destinations = list(
        Destination.objects.filter(clinic=clinic).annotate(newest=Subquery(tried.values("pk")[:1]))
    )
    found = Delivery.objects.in_bulk([one.newest for one in destinations if one.newest])
    return [
        ShownDestination(one, ShownDelivery(found[one.newest]) if one.newest in found else None)
        for one in destinations
    ]
