"""The audit: who did or saw what, in one append-only hash chain for each clinic and one for the platform."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

#: Characters of an actor's name that are kept.
LONGEST_LABEL = 254


class Action(models.TextChoices):
    """The kinds of events."""

    SIGNED_IN = "signed-in", _("signed in")
    SIGNED_OUT = "signed-out", _("signed out")
    SIGN_IN_FAILED = "sign-in-failed", _("failed to sign in")
    PASSWORD_CHANGED = "password-changed", _("chose a new password")
    SECOND_FACTOR_CHANGED = "second-factor-changed", _("changed a second factor")
    PERSON_CHANGED = "person-changed", _("changed a person's account")
    SUBMISSION_CREATED = "submission-created", _("started a submission")
    SUBMISSION_FINISHED = "submission-finished", _("finished a submission")
    SUBMISSION_CANCELLED = "submission-cancelled", _("cancelled a submission")
    IMAGE_STORED = "image-stored", _("stored an image")
    UPLOAD_DUPLICATE = "upload-duplicate", _("sent an image that was already here")
    UPLOAD_REJECTED = "upload-rejected", _("had a file rejected")
    STUDY_SEALED = "study-sealed", _("completed a study's images")
    STUDY_VIEWED = "study-viewed", _("viewed a study")
    STUDY_CORRECTED = "study-corrected", _("corrected a study's details")
    STUDY_DELETED = "study-deleted", _("deleted a study")
    IMAGE_VIEWED = "image-viewed", _("opened an image file")
    ANALYSIS_REQUESTED = "analysis-requested", _("requested an analysis")
    ANALYSIS_SUCCEEDED = "analysis-succeeded", _("analysed a study")
    ANALYSIS_FAILED = "analysis-failed", _("failed to analyse a study")
    ANALYSIS_CANCELLED = "analysis-cancelled", _("cancelled an analysis")
    ANALYSIS_REQUEUED = "analysis-requeued", _("put an analysis back in the queue")
    REVIEW_SAVED = "review-saved", _("saved a review")
    REVIEW_SIGNED = "review-signed", _("signed a review")
    REVIEW_WITHDRAWN = "review-withdrawn", _("took back a signature")
    ADJUDICATOR_NAMED = "adjudicator-named", _("named who decides a disagreement")
    EXPORTED = "exported", _("exported data")
    MEMBER_INVITED = "member-invited", _("invited a person")
    MEMBER_ADDED = "member-added", _("added a member")
    MEMBER_REMOVED = "member-removed", _("removed a member")
    CLINIC_CREATED = "clinic-created", _("created a clinic")
    CLINIC_CHANGED = "clinic-changed", _("changed the clinic's settings")
    DICOM_CHANGED = "dicom-changed", _("changed the clinic's DICOM settings")
    DICOM_TESTED = "dicom-tested", _("tested the connection to a DICOM destination")
    RESULT_SENT = "result-sent", _("sent a result back")
    RESULT_NOT_SENT = "result-not-sent", _("gave up sending a result back")
    RESULT_RETRIED = "result-retried", _("asked to send a result back again")
    BUNDLE_ACTIVATED = "bundle-activated", _("activated a model version")
    TOKEN_CREATED = "token-created", _("made an API token")
    TOKEN_REVOKED = "token-revoked", _("revoked an API token")
    WEBHOOK_ADDED = "webhook-added", _("added a webhook")
    WEBHOOK_CHANGED = "webhook-changed", _("paused or resumed a webhook")
    WEBHOOK_REMOVED = "webhook-removed", _("removed a webhook")
    CONTENT_ACCESS_GRANTED = "content-access-granted", _("opened patient data as superuser")
    CONTENT_ACCESS_ENDED = "content-access-ended", _("closed patient data as superuser")


_WORDS = dict(Action.choices)


class AuditEvent(models.Model):
    """One link of a chain. Written by ``audit.services.record`` only; the database refuses changes.

    ``hash`` is sha256 over the previous link's hash and the canonical JSON of this one. Ids and
    kinds only, no patient content. The actor stays by ``actor_label`` when the user goes.
    """

    id = models.BigAutoField(primary_key=True)
    clinic = models.ForeignKey(
        "clinics.Clinic", null=True, on_delete=models.PROTECT, related_name="audit_events", db_index=False
    )
    number = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor_id_text = models.CharField(max_length=40, blank=True)
    actor_label = models.CharField(max_length=LONGEST_LABEL, blank=True)
    action = models.CharField(max_length=40, choices=Action.choices)
    target_kind = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    #: The study that a timeline shows this event on, if any.
    study_id = models.UUIDField(null=True, blank=True)
    detail = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        # Within a chain. Ids say nothing of it, and no hash covers them.
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "number"], name="audit_chain", nulls_distinct=False)
        ]
        indexes = [
            models.Index(fields=["study_id", "number"], name="audit_by_study"),
            models.Index(fields=["clinic", "action", "number"], name="audit_by_action"),
            # What the limit on sign-in attempts asks at every attempt.
            models.Index(
                fields=["address", "at"],
                name="audit_sign_ins",
                condition=models.Q(action__in=["sign-in-failed", "signed-in"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.action}"

    @property
    def words(self) -> str:
        """The action in words; ``get_action_display`` hashes all translated labels for each event."""
        return str(_WORDS.get(self.action, self.action))


class Visit(models.Model):
    """The newest event ``study-viewed`` of one actor, study and address: until when no other is written.

    Written by ``audit.visits`` only. A row says no more than its event, and goes when the visit is over.
    """

    study_id = models.UUIDField()
    actor_id_text = models.CharField(max_length=40, blank=True)
    actor_label = models.CharField(max_length=LONGEST_LABEL, blank=True)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField()
    #: Whether the prediction was shown.
    revealed = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study_id", "actor_id_text", "actor_label", "address"],
                name="audit_visit_once",
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["at"], name="audit_visit_at")]

    def __str__(self) -> str:
        return f"{self.actor_label} {self.study_id}"


class AuditHead(models.Model):
    """The end of a chain. Its row is the last lock that any transaction takes."""

    clinic = models.OneToOneField("clinics.Clinic", null=True, on_delete=models.PROTECT)
    number = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["clinic"], name="audit_head_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.clinic_id or 'platform'}: {self.number}"


class ChainCheck(models.Model):
    """The outcome of a chain's last verification, for the operations page."""

    clinic = models.OneToOneField("clinics.Clinic", null=True, on_delete=models.PROTECT, related_name="+")
    checked_at = models.DateTimeField(auto_now=True)
    length = models.PositiveBigIntegerField()
    broken_at = models.PositiveBigIntegerField(null=True)
    reason = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["clinic"], name="audit_check_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.clinic_id or 'platform'}: {self.length}"
