"""Webhooks: where a clinic's programs are told that something happened, and what became of each message."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from xrayportal.audit.models import Action


class EventType(models.TextChoices):
    """What a webhook can be told."""

    ANALYSIS_SUCCEEDED = "analysis.succeeded", _("A study was analysed")
    ANALYSIS_FAILED = "analysis.failed", _("A study could not be analysed")
    SUBMISSION_FINISHED = "submission.finished", _("All files of a submission were received")
    REVIEW_SIGNED = "review.signed", _("A review was signed")
    STUDY_DELETED = "study.deleted", _("A study was deleted")


#: The audit events that are told, in whose transaction the thing happened.
TOLD = {
    Action.ANALYSIS_SUCCEEDED: EventType.ANALYSIS_SUCCEEDED,
    Action.ANALYSIS_FAILED: EventType.ANALYSIS_FAILED,
    Action.SUBMISSION_FINISHED: EventType.SUBMISSION_FINISHED,
    Action.REVIEW_SIGNED: EventType.REVIEW_SIGNED,
    Action.STUDY_DELETED: EventType.STUDY_DELETED,
}


class Endpoint(models.Model):
    """An address that a clinic's admin entered, and how far it has been told the clinic's audit chain."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(_("address"), max_length=500)
    events = ArrayField(models.CharField(max_length=32, choices=EventType.choices), verbose_name=_("events"))
    #: Encrypted (`xrayportal.encryption`): signatures are made with it, so a hash would not do.
    secret = models.BinaryField(editable=False)
    is_active = models.BooleanField(default=True)
    #: The number of the last audit event that was turned into a delivery, or passed over.
    position = models.PositiveBigIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(name="webhook_has_events", condition=Q(events__len__gt=0)),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Delivery(models.Model):
    """One message to one endpoint. Its id is the message's: a receiver knows by it what it has had."""

    class State(models.TextChoices):
        PENDING = "pending", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=32)
    #: Ids and kinds only, no patient content and no result.
    payload = models.JSONField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(db_default=Now())
    #: What the last attempt came to: the status of HTTP, or a word for what went wrong before one.
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    problem = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["endpoint", "next_at"], name="delivery_due", condition=Q(state="pending")),
            models.Index(fields=["endpoint", "-created_at"], name="delivery_newest"),
            models.Index(fields=["finished_at"], name="delivery_old", condition=Q(finished_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.id)
