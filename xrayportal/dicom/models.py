"""DICOM in and out: who may send, what is kept for the answer, and where results go."""

from __future__ import annotations

import ipaddress
import re
import uuid
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xrayportal.hosts import parse_address
from xrayportal.studies.models import Queue

#: PS3.5, VR AE: at most 16 printable characters, no backslash; spaces inside only.
_AE_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?", re.ASCII)


def validate_ae_title(title: str) -> None:
    """Raise ValidationError for what is no application entity title."""
    if not _AE_TITLE.fullmatch(title):
        raise ValidationError(
            _("An AE title has 1 to 16 letters, digits or signs (ASCII), no backslash: “%(title)s” is none."),
            params={"title": title},
        )


def validate_network(text: str) -> None:
    """Raise ValidationError for what is neither an address nor a network such as 10.1.0.0/16."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValidationError(
            _("Enter an address such as 10.1.2.3, or a network such as 10.1.2.0/24, not “%(text)s”."),
            params={"text": text},
        ) from None


class Listener(models.Model):
    """An AE title that the DICOM node answers to; what is sent to it goes to its clinic."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="dicom_listeners")
    #: One node answers for all clinics of the portal: the title tells which one is meant.
    ae_title = models.CharField(_("AE title"), max_length=16, unique=True, validators=[validate_ae_title])
    requires_tls = models.BooleanField(_("only over TLS"), default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["ae_title"]

    def __str__(self) -> str:
        return self.ae_title


class Caller(models.Model):
    """A system that may send to its clinic: by its AE title and its address, both."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="dicom_callers")
    ae_title = models.CharField(_("AE title"), max_length=16, validators=[validate_ae_title])
    #: An address or a network.
    network = models.CharField(_("address or network"), max_length=64, validators=[validate_network])
    queue = models.CharField(_("queue"), max_length=16, choices=Queue.choices, default=Queue.INTERACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["ae_title", "network"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "ae_title", "network"], name="dicom_caller_once"),
        ]

    def __str__(self) -> str:
        return f"{self.ae_title} ({self.network})"

    def has_address(self, address: str) -> bool:
        """Whether an IP address is this system's."""
        return parse_address(address) in ipaddress.ip_network(self.network)


class ReturnSettings(models.Model):
    """What a clinic sends back to its archive, and when. Without a row nothing is sent or kept for it."""

    class When(models.TextChoices):
        NEVER = "never", _("Never: no identifiers are kept")
        FINAL = "final", _("When the result is final")
        SIGNED = "signed", _("When a reader has signed")

    clinic = models.OneToOneField(
        "clinics.Clinic", primary_key=True, on_delete=models.CASCADE, related_name="dicom_returns"
    )
    when = models.CharField(_("send results back"), max_length=16, choices=When.choices, default=When.NEVER)
    secondary_capture = models.BooleanField(_("Image with heatmap (Secondary Capture)"), default=True)
    structured_report = models.BooleanField(_("Structured Report (TID 1500)"), default=True)
    presentation_state = models.BooleanField(_("Marked region on the original image (GSPS)"), default=True)
    #: How long the identifiers that a return needs are kept.
    keep_days = models.PositiveSmallIntegerField(_("keep identifiers for (days)"), default=30)

    def __str__(self) -> str:
        return f"{self.clinic_id} {self.when}"


class Destination(models.Model):
    """An archive that results are sent to."""

    #: What a test finds where nothing failed: the archive accepts us; its web server answers.
    REACHED = (ACCEPTED, ANSWERS) = ("accepted", "answers")
    #: The node has so long for a test.
    TEST_PATIENCE = timedelta(seconds=30)

    class Protocol(models.TextChoices):
        C_STORE = "c-store", "C-STORE"
        STOW = "stow", "STOW-RS"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="dicom_destinations")
    name = models.CharField(_("name"), max_length=60)
    protocol = models.CharField(
        _("protocol"), max_length=16, choices=Protocol.choices, default=Protocol.C_STORE
    )
    # C-STORE
    ae_title = models.CharField(_("AE title"), max_length=16, blank=True, validators=[validate_ae_title])
    calling_ae_title = models.CharField(
        _("our AE title"), max_length=16, blank=True, validators=[validate_ae_title]
    )
    host = models.CharField(_("host"), max_length=253, blank=True)
    port = models.PositiveIntegerField(_("port"), null=True, blank=True)
    uses_tls = models.BooleanField(_("TLS"), default=False)
    # STOW-RS
    url = models.CharField(_("address of the studies"), max_length=500, blank=True)
    #: An Authorization header, encrypted.
    credentials = models.BinaryField(default=bytes, blank=True, editable=False)
    #: The newest test of the connection: an admin asked, the node tried (`dicom.connection`). The outcome is
    #: one of ``REACHED`` or a kind of `SendingError`, with the other side's status where it gave one.
    test_asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_outcome = models.CharField(max_length=40, blank=True, editable=False)
    test_code = models.CharField(max_length=40, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "name"], name="dicom_destination_once"),
            models.CheckConstraint(
                name="dicom_destination_has_address",
                condition=Q(protocol="c-store", port__range=(1, 65535))
                & ~Q(host="")
                & ~Q(ae_title="")
                & ~Q(calling_ae_title="")
                | (Q(protocol="stow") & ~Q(url="")),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_tested_now(self) -> bool:
        """Whether a test was asked for that the node is still to answer."""
        asked = self.test_asked_at
        return asked is not None and self.tested_at is None and asked > timezone.now() - self.TEST_PATIENCE


class OriginalIdentifiers(models.Model):
    """The identifiers of one image as its sender gave them, encrypted: an archive files an answer by them.

    Kept only where the clinic sends results back, and read only to do so. They go with the image, or when
    their time is over.
    """

    image = models.OneToOneField(
        "studies.Image", primary_key=True, on_delete=models.CASCADE, related_name="original_identifiers"
    )
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="+")
    content = models.BinaryField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.image_id)


class StudyReturn(models.Model):
    """A study that an archive waits for the result of, and what was last passed on for sending."""

    study = models.OneToOneField(
        "studies.Study", primary_key=True, on_delete=models.CASCADE, related_name="dicom_return"
    )
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="+")
    #: The analysis of the newest deliveries, and the readers' verdict that went with it.
    analysis = models.ForeignKey(
        "analyses.Analysis", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    signed_verdict = models.CharField(max_length=16, blank=True)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["expires_at"], name="dicom_return_new", condition=Q(analysis__isnull=True)),
        ]

    def __str__(self) -> str:
        return str(self.study_id)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """The portal's questions about deliveries."""

    def unfinished(self) -> DeliveryQuerySet:
        """Those that are still to be sent."""
        return self.filter(state__in=Delivery.UNFINISHED)


class Delivery(models.Model):
    """One result of one study on its way to one destination."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENDING = "sending", _("Sending")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed")
        #: A newer result took its place, or the clinic no longer sends it.
        WITHDRAWN = "withdrawn", _("Withdrawn")

    UNFINISHED = (State.WAITING, State.SENDING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="dicom_deliveries")
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="deliveries")
    analysis = models.ForeignKey("analyses.Analysis", on_delete=models.CASCADE, related_name="+")
    #: The readers' verdict that goes with the result; empty while nobody has signed.
    signed_verdict = models.CharField(max_length=16, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(auto_now_add=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    error_kind = models.CharField(max_length=40, blank=True)
    #: What the other side said: a status code, never a text of its own.
    error_code = models.CharField(max_length=40, blank=True)
    objects_sent = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["destination", "analysis", "signed_verdict"], name="dicom_delivery_once"
            ),
            models.CheckConstraint(
                name="dicom_delivery_sending_is_leased",
                condition=~Q(state="sending") | Q(leased_until__isnull=False),
            ),
            models.CheckConstraint(
                name="dicom_delivery_failed_says_why", condition=~Q(state="failed") | ~Q(error_kind="")
            ),
        ]
        indexes = [
            models.Index(
                fields=["not_before"],
                name="dicom_delivery_due",
                condition=Q(state__in=["waiting", "sending"]),
            ),
            models.Index(fields=["clinic", "-created_at"], name="dicom_delivery_newest"),
        ]

    def __str__(self) -> str:
        return str(self.id)
