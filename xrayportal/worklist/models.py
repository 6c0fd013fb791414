"""Read marks, saved views, reading sessions, and the one message when a submission is done."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class StudyViewed(models.Model):
    """A person has opened a study: their own read mark, which they may take back, unlike the audit."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="+")
    viewed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "study"], name="study_viewed_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.study_id}"


class Unopened(models.Model):
    """A study that no reader has opened yet; a trigger adds the row with the study (sql/unopened.sql).

    Few rows beside many studies, so that one look into an index finds what has waited too long.
    """

    study = models.OneToOneField(
        "studies.Study", primary_key=True, on_delete=models.CASCADE, related_name="unopened"
    )
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="+", db_index=False)
    since = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["clinic", "since"], name="unopened_longest")]

    def __str__(self) -> str:
        return str(self.study_id)


class SavedView(models.Model):
    """Filters of the worklist that a person saved under a name, in one clinic.

    The row without a name is the list that the person looked at last; they did not save it themselves.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=40, blank=True)
    #: As in the address, in the canonical order of ``web.worklist.rows.Filters.query``; without a name it
    #: holds no search words, which may name a patient.
    query = models.CharField(max_length=500)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "clinic", "name"], name="saved_view_once")]

    def __str__(self) -> str:
        return self.name


class ReadingSession(models.Model):
    """A list as one person began to go through it: its order stays, whatever happens to the list since."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="+", db_index=False)
    #: The list to come back to, as in the address.
    query = models.CharField(max_length=500, blank=True)
    #: Ids in the list's order; studies that were deleted since are still in it.
    studies = ArrayField(models.UUIDField())
    started_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["user", "clinic", "-started_at"], name="reading_session_newest")]

    def __str__(self) -> str:
        return str(self.id)


class Digest(models.Model):
    """One message to the sender when a submission is done; the row is made when it is finished."""

    submission = models.OneToOneField(
        "studies.Submission", primary_key=True, on_delete=models.CASCADE, related_name="digest"
    )
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    studies = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    #: Studies that could not be read, and files that were not taken.
    failed = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    ready_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    #: Set before the mail leaves, so that no crash sends it twice; taken back when it could not leave.
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["submission"], name="digest_pending", condition=Q(ready_at__isnull=True)),
            models.Index(
                fields=["user"],
                name="digest_unseen",
                condition=Q(ready_at__isnull=False, seen_at__isnull=True),
            ),
            models.Index(
                fields=["ready_at"],
                name="digest_unmailed",
                condition=Q(ready_at__isnull=False, mailed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return str(self.submission_id)
