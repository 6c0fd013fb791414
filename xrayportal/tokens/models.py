"""Tokens by which programs use a clinic's API."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xrayportal.clinics.models import Role


class Scope(models.TextChoices):
    """What a token is for. A scope narrows what its role may do, and never adds to it."""

    SUBMISSIONS_WRITE = "submissions:write", _("Send files, finish and cancel submissions, request analyses")
    STUDIES_READ = "studies:read", _("Read submissions, studies, analyses, findings, heatmaps and reviews")
    IMAGES_READ = "images:read", _("Download the stored image files")
    REVIEWS_WRITE = "reviews:write", _("Save and sign reviews (only as yourself)")
    AUDIT_READ = "audit:read", _("Read the audit log")


class ApiToken(models.Model):
    """A secret by which a program acts in one clinic; only its SHA-256 is kept.

    It acts as a service with one ``role``: ``account`` is then a user of its own that cannot sign in. Or
    ``role`` is empty, and it acts as the person who made it, with the roles that they have at that moment.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        EXPIRED = "expired", _("Expired")
        REVOKED = "revoked", _("Revoked")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_tokens")
    role = models.CharField(_("role"), max_length=16, choices=Role.choices, blank=True)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope.choices), verbose_name=_("scopes"))
    #: SHA-256 of the secret, which is 256 random bits: nothing slower is needed against guessing.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    #: The first characters of the secret, by which people recognise it.
    beginning = models.CharField(max_length=12, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    #: Within a minute: not every request writes it.
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_address = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.CheckConstraint(name="token_role_known", condition=Q(role__in=["", *Role.values])),
            models.CheckConstraint(name="token_has_scopes", condition=Q(scopes__len__gt=0)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_service(self) -> bool:
        """Whether it acts as a service, not as a person."""
        return bool(self.role)

    @property
    def scope_labels(self) -> list[str]:
        """What it is for, in words, in the order of ``Scope``."""
        return [str(scope.label) for scope in Scope if scope in self.scopes]

    def state_at(self, now: datetime) -> State:
        """Whether it can be used at this moment."""
        if self.revoked_at is not None:
            return self.State.REVOKED
        return self.State.EXPIRED if self.expires_at <= now else self.State.ACTIVE

    @property
    def state(self) -> State:
        """Whether it can be used now."""
        return self.state_at(timezone.now())
