"""What people send: Submission, Upload, Study, Image."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from xrayportal.clinics.models import User


class Queue(models.TextChoices):
    """The two queues: interactive work goes first, with a share kept for bulk work."""

    INTERACTIVE = "interactive", _("Interactive")
    BULK = "bulk", _("Bulk")


class Grouping(models.TextChoices):
    """Which files are views of one study; DICOM files always go by their study UID."""

    FOLDERS = "folders", _("One study per folder")
    FILES = "files", _("One study per file")


class SubmissionQuerySet(models.QuerySet["Submission"]):
    """The portal's questions about submissions."""

    def open(self) -> SubmissionQuerySet:
        """The submissions that files may still come to."""
        return self.filter(state=Submission.State.OPEN)


class Submission(models.Model):
    """What a person, an API client or a PACS sends in one go."""

    class State(models.TextChoices):
        OPEN = "open", _("Receiving files")
        FINISHED = "finished", _("All files received")
        CANCELLED = "cancelled", _("Cancelled")

    class Source(models.TextChoices):
        BROWSER = "browser", _("Browser")
        COMMAND = "command", _("Command line")
        DICOM = "dicom", "DICOM"
        API = "api", _("API")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="submissions")
    submitter = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="submissions"
    )
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.BROWSER)
    #: The AE title of a system that sent it, where that was no person.
    sender = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    queue = models.CharField(max_length=16, choices=Queue.choices, default=Queue.INTERACTIVE)
    #: Made by a program that sent it: the same key again is the same submission.
    key = models.CharField(max_length=64, blank=True, editable=False)
    #: How many files the sender announced; the page shows progress against it.
    expected_files = models.PositiveIntegerField(default=0)
    #: The folder or archive that every file came in, as shown to people; while files come, the first one's.
    folder = models.CharField(max_length=255, blank=True, default="", db_default="")
    grouping = models.CharField(max_length=16, choices=Grouping.choices, default=Grouping.FOLDERS)
    #: The first of several submissions that one batch of files went into: it was ended during a pause.
    continues = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    #: The labels of a CSV, by file: see ``intake.bulk.labels``.
    labels = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_upload_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["clinic", "-created_at"], name="submission_newest"),
            models.Index(fields=["last_upload_at"], name="submission_open", condition=models.Q(state="open")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "submitter", "key"], name="submission_once", condition=~models.Q(key="")
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_open(self) -> bool:
        """Whether files may still come."""
        return self.state == self.State.OPEN

    @property
    def is_cancelled(self) -> bool:
        """Whether it was called off."""
        return self.state == self.State.CANCELLED

    def has_sender_of(self, other: Submission) -> bool:
        """Whether both came from one sender: the same person, or without a person the same way in."""
        if self.submitter_id is None and other.submitter_id is None:
            return self.source == other.source
        return self.submitter_id == other.submitter_id


class StudyQuerySet(models.QuerySet["Study"]):
    """The portal's questions about studies."""

    def open(self) -> StudyQuerySet:
        """The studies that views may still come to."""
        return self.filter(state=Study.State.OPEN)

    def sent_whole_by(self, user: User) -> StudyQuerySet:
        """The studies of other submissions of which this person has sent every picture as well.

        Who sends one picture that is here already learns nothing of the study's others.
        """
        sent = Upload.objects.filter(submission__submitter=user, image=models.OuterRef("pk"))
        unsent = Image.objects.filter(~models.Exists(sent), study=models.OuterRef("pk"))
        elsewhere = Upload.objects.filter(submission__submitter=user, elsewhere=True)
        return self.filter(~models.Exists(unsent), pk__in=elsewhere.values("image__study"))


class Study(models.Model):
    """One examination: one or more views of one patient reference."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        SEALED = "sealed", _("Complete")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="studies")
    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="studies")
    #: What views are grouped by: the pseudonym of the DICOM study UID, or one key a file.
    grouping_key = models.CharField(max_length=64)
    #: 1 for the first study of a grouping key. Views that may not join it, because it is signed or another's,
    #: make part 2, and so on (docs/decisions/late-views.md).
    part = models.PositiveIntegerField(default=1, db_default=1)
    #: A reference that identifies nobody by itself: given by the sender, or a pseudonym of the DICOM id.
    patient_reference = models.CharField(_("patient reference"), max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    priority = models.SmallIntegerField(default=0)
    #: A body part stated by the sender; empty lets the bundle find it.
    stated_body_part = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_view_at = models.DateTimeField(auto_now_add=True)
    sealed_at = models.DateTimeField(null=True, blank=True)
    #: The newest succeeded primary analysis, set in the transaction that completes it.
    current = models.ForeignKey(
        "analyses.Analysis", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # Copies of the current result, for lists to filter and sort by from one index. A trigger sets them
    # whenever ``current`` is set (sql/result_of_study.sql); a result never changes.
    result_verdict = models.CharField(max_length=16, blank=True, editable=False)
    result_reason = models.CharField(max_length=32, blank=True, editable=False)
    result_leaning = models.CharField(max_length=16, blank=True, editable=False)
    result_body_part = models.CharField(max_length=32, blank=True, editable=False)
    result_probability = models.FloatField(null=True, editable=False)

    objects = StudyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "studies"
        constraints = [
            models.UniqueConstraint(fields=["clinic", "grouping_key", "part"], name="study_part_once"),
        ]
        indexes = [
            models.Index(fields=["clinic", "-created_at"], name="study_newest"),
            models.Index(fields=["clinic", "patient_reference"], name="study_by_patient"),
            models.Index(fields=["last_view_at"], name="study_open", condition=models.Q(state="open")),
            models.Index(fields=["clinic", "result_verdict", "-created_at"], name="study_by_verdict"),
            models.Index(
                fields=["clinic", "result_body_part", "-created_at"],
                include=["result_verdict"],
                name="study_by_body_part",
            ),
            models.Index(
                models.F("clinic"),
                models.F("result_probability").desc(nulls_last=True),
                models.F("created_at").desc(),
                name="study_by_probability",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_sealed(self) -> bool:
        """Whether it is complete: a view that its sender adds before a reader signs opens it again."""
        return self.state == self.State.SEALED


class Image(models.Model):
    """One radiograph (view), unique by content within its clinic.

    ``sha256`` is of the stored, de-identified bytes; ``file`` is a name in the file storage.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="images")
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="images")
    sha256 = models.CharField(max_length=64)
    file = models.CharField(max_length=200)
    media_type = models.CharField(max_length=40)
    size = models.PositiveBigIntegerField(help_text=_("Bytes"))
    view_position = models.CharField(max_length=16, blank=True)
    #: What the intake left out of the file, as codes of `inference_worker.notes`.
    notes = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["clinic", "sha256"], name="image_once_per_clinic")]

    def __str__(self) -> str:
        return str(self.id)


class Upload(models.Model):
    """One file of a submission and its outcome."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", _("Accepted")
        APPLIED = "applied", _("Applied")  # an archive or a CSV: not a picture itself
        DUPLICATE = "duplicate", _("Already here")
        REJECTED = "rejected", _("Rejected")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="uploads")
    #: Made by the sender: the same key sent again is the same upload.
    key = models.CharField(max_length=64)
    #: As shown to people, without folders, control characters and direction marks.
    filename = models.CharField(max_length=255)
    #: Relative, for the rows of CSVs; only while the submission is open, since folders may bear names.
    path = models.TextField(blank=True, editable=False)
    size = models.PositiveBigIntegerField(default=0, help_text=_("Bytes"))
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    sentence = models.TextField(blank=True)
    kind = models.CharField(max_length=40, blank=True)
    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.SET_NULL, related_name="uploads")
    #: Its image is in a study of another submission; a trigger sets it (sql/uploads_elsewhere.sql).
    elsewhere = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [
            # Whose studies a sender may see besides their own: few, and looked for with every list.
            models.Index(fields=["submission"], name="upload_elsewhere", condition=models.Q(elsewhere=True)),
            # For the search by the beginning of a name, in capitals or not.
            models.Index(OpClass(Upper("filename"), name="text_pattern_ops"), name="upload_by_name"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["submission", "key"], name="upload_once"),
            models.CheckConstraint(
                name="upload_rejected_says_why",
                condition=~models.Q(outcome="rejected") | ~models.Q(sentence=""),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Usage(models.Model):
    """How many files a person, or what is no person, sent to a clinic on one day (UTC); for quotas."""

    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    files = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "usage"
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "user", "day"], name="usage_once", nulls_distinct=False
            ),
        ]
        indexes = [models.Index(fields=["clinic", "day"], include=["user", "files"], name="usage_of_day")]

    def __str__(self) -> str:
        return f"{self.clinic_id} {self.day}: {self.files}"
