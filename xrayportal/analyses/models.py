"""What the portal asks of the workers and what comes back: Bundle, Analysis, Finding, Worker, Heartbeat."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from inference_worker.types import BODY_PART_NOT_JUDGED
from xrayportal.studies.models import Queue


class BundleQuerySet(models.QuerySet["Bundle"]):
    """The portal's questions about bundles."""

    def active(self) -> BundleQuerySet:
        """The bundle that new analyses use: one row or none."""
        return self.filter(is_active=True)


class Bundle(models.Model):
    """A released set of networks that this portal knows; its manifest is the source of words and limits."""

    name = models.CharField(max_length=120, unique=True, help_text=_("name@version"))
    folder = models.CharField(max_length=120, help_text=_("Folder under BUNDLES_DIR"))
    manifest = models.JSONField()
    manifest_sha256 = models.CharField(max_length=64)
    is_active = models.BooleanField(default=False)
    registered_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True, blank=True)

    objects = BundleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["is_active"], name="bundle_one_active", condition=Q(is_active=True)
            )
        ]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def thresholds(self) -> dict[str, Any]:
        """``low``, ``high`` and their ``limits``, on the calibrated probability."""
        return dict(self.manifest["thresholds"])

    @cached_property
    def body_parts(self) -> list[str]:
        """The body parts that this bundle knows."""
        return list(self.manifest["body_parts"])


class Verdict(models.TextChoices):
    """Codes of verdicts; the words that people see come from the bundle's target."""

    NORMAL = "normal"
    ABNORMAL = "abnormal"
    UNCERTAIN = "uncertain"
    UNSUPPORTED = "unsupported"


class Leaning(models.TextChoices):
    """Codes of the side that an uncertain probability lies on; empty for any other result."""

    TOWARDS_NORMAL = "towards_normal"
    TOWARDS_ABNORMAL = "towards_abnormal"


class Reason(models.TextChoices):
    """Codes of why an uncertain result has no probability; empty for any other result."""

    BODY_PART_NOT_JUDGED = BODY_PART_NOT_JUDGED


class LocationBand(models.TextChoices):
    """Codes of how much the peak of a heatmap stands out; empty where the bundle did not measure it."""

    NONE = "none"
    WEAK = "weak"
    STRONG = "strong"


class AnalysisQuerySet(models.QuerySet["Analysis"]):
    """The portal's questions about analyses."""

    def primary(self) -> AnalysisQuerySet:
        """Those that make a study's result, without those of shadow bundles."""
        return self.filter(purpose=Analysis.Purpose.PRIMARY)

    def unfinished(self) -> AnalysisQuerySet:
        """Those that wait or run."""
        return self.filter(state__in=Analysis.UNFINISHED)


class Analysis(models.Model):
    """One request to analyse one sealed study with one bundle: the job and, once done, the result."""

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Analysing")
        SUCCEEDED = "succeeded", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    class Purpose(models.TextChoices):
        PRIMARY = "primary", _("Primary")
        SHADOW = "shadow", _("Shadow")

    UNFINISHED = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="analyses")
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="analyses")
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="analyses")
    purpose = models.CharField(max_length=16, choices=Purpose.choices, default=Purpose.PRIMARY)
    forced_body_part = models.CharField(max_length=32, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    #: The database's clock, as everything that orders or times the queue.
    requested_at = models.DateTimeField(db_default=Now(), editable=False)
    #: Snapshot: later changes of the clinic's or the bundle's thresholds never touch this result.
    threshold_low = models.FloatField()
    threshold_high = models.FloatField()
    thresholds_by_clinic = models.BooleanField(default=False)

    # the job
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    queue = models.CharField(max_length=16, choices=Queue.choices, default=Queue.INTERACTIVE)
    priority = models.SmallIntegerField(default=0)
    not_before = models.DateTimeField(db_default=Now(), help_text=_("Waits at least until then"))
    #: Counts claims, and fences them: only the present attempt may write the result.
    attempt = models.PositiveSmallIntegerField(default=0)
    claimed_alone = models.BooleanField(default=False, help_text=_("The current attempt ran alone"))
    #: Attempts that ended unforeseen (a dead process, an unknown error) with nothing else to blame.
    crashes_alone = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True, help_text=_("Start of the current attempt"))
    leased_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    cancel_requested = models.BooleanField(default=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    error_kind = models.CharField(max_length=40, blank=True)
    error_sentence = models.TextField(blank=True)

    # the result
    verdict = models.CharField(max_length=16, choices=Verdict.choices, blank=True)
    reason = models.CharField(max_length=32, choices=Reason.choices, blank=True)
    leaning = models.CharField(max_length=16, choices=Leaning.choices, blank=True)
    body_part = models.CharField(max_length=32, blank=True)
    body_parts = models.JSONField(
        default=dict, help_text=_("Mean body part probabilities over supported views")
    )
    probability = models.FloatField(null=True, blank=True)
    #: Views that could not be read: a list of {image, kind, file, sentence}; all of them where it failed so.
    unreadable = models.JSONField(default=list)
    views = models.PositiveSmallIntegerField(default=0)
    runtime = models.CharField(max_length=40, blank=True)
    precision = models.CharField(max_length=16, blank=True)
    software = models.CharField(max_length=40, blank=True)
    milliseconds = models.JSONField(default=dict, help_text=_("By stage, summed over views"))

    objects = AnalysisQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "analyses"
        constraints = [
            models.UniqueConstraint(
                fields=["study", "bundle", "purpose", "forced_body_part"],
                name="analysis_one_unfinished",
                condition=Q(state__in=["queued", "running"]),
            ),
            models.CheckConstraint(
                name="analysis_thresholds_ordered",
                condition=Q(threshold_low__gte=0, threshold_low__lte=models.F("threshold_high"))
                & Q(threshold_high__lte=1),
            ),
            models.CheckConstraint(
                name="analysis_running_is_leased",
                condition=~Q(state="running") | Q(leased_until__isnull=False, started_at__isnull=False),
            ),
            models.CheckConstraint(
                name="analysis_finished_has_time",
                condition=Q(state__in=["queued", "running"]) | Q(finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="analysis_succeeded_has_verdict", condition=~Q(state="succeeded") | ~Q(verdict="")
            ),
            models.CheckConstraint(
                name="analysis_failed_says_why", condition=~Q(state="failed") | ~Q(error_sentence="")
            ),
            models.CheckConstraint(
                name="analysis_reason_is_uncertain",
                condition=Q(reason="") | Q(verdict="uncertain", leaning="", probability__isnull=True),
            ),
            models.CheckConstraint(
                name="analysis_leaning_is_uncertain", condition=Q(leaning="") | Q(verdict="uncertain")
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "clinic", "-priority", "requested_at"],
                name="analysis_waiting",
                condition=Q(state="queued"),
            ),
            models.Index(fields=["leased_until"], name="analysis_leases", condition=Q(state="running")),
            # Whose turn it is follows from the starts: overall for the share of bulk, by clinic for the rest.
            models.Index(
                fields=["-started_at"], name="analysis_starts", condition=Q(started_at__isnull=False)
            ),
            models.Index(
                fields=["queue", "clinic", "-started_at"],
                name="analysis_turns",
                condition=Q(started_at__isnull=False),
            ),
            models.Index(fields=["study", "-requested_at"], name="analysis_by_study"),
            models.Index(fields=["finished_at"], name="analysis_by_finish", condition=Q(state="succeeded")),
            models.Index(
                fields=["clinic", "-finished_at"], name="analysis_failures", condition=Q(state="failed")
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, so that nothing of it changes any more."""
        return self.state not in self.UNFINISHED


class Finding(models.Model):
    """The result for one image of one analysis. Files are names in the file storage."""

    #: The fields that name a file, or none.
    FILES = ("display_file", "thumbnail_file", "overlay_file", "map_file", "depth_file")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Its index is below.
    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="findings", db_index=False)
    image = models.ForeignKey("studies.Image", on_delete=models.CASCADE, related_name="findings")
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    reason = models.CharField(max_length=32, choices=Reason.choices, blank=True)
    leaning = models.CharField(max_length=16, choices=Leaning.choices, blank=True)
    location = models.CharField(max_length=8, choices=LocationBand.choices, blank=True)
    body_parts = models.JSONField(default=dict)
    probability = models.FloatField(null=True, blank=True)
    peak_x = models.PositiveIntegerField(null=True, blank=True, help_text=_("Displayed pixels"))
    peak_y = models.PositiveIntegerField(null=True, blank=True, help_text=_("Displayed pixels"))
    trust = models.FloatField(null=True, blank=True)
    ood_distance = models.FloatField()
    width = models.PositiveIntegerField(help_text=_("Displayed pixels"))
    height = models.PositiveIntegerField(help_text=_("Displayed pixels"))
    spacing = models.JSONField(null=True, blank=True, help_text=_("Millimetres per pixel: row, column"))
    display_file = models.CharField(max_length=200)
    thumbnail_file = models.CharField(max_length=200)
    overlay_file = models.CharField(max_length=200, blank=True)
    map_file = models.CharField(max_length=200, blank=True)
    depth_file = models.CharField(max_length=200, blank=True)
    #: The numbers of `inference_worker.types.Depth`, and the ``highest`` code in ``depth_file``.
    depth = models.JSONField(null=True, blank=True)
    notes = models.JSONField(default=list, blank=True, help_text=_("What was left out or changed to show it"))
    milliseconds = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["analysis", "image"], name="finding_once"),
            models.CheckConstraint(
                name="finding_unsupported_says_nothing",
                condition=Q(probability__isnull=True, trust__isnull=True, map_file="", overlay_file="")
                & (Q(verdict="unsupported", reason="") | (Q(verdict="uncertain") & ~Q(reason="")))
                | (
                    ~Q(verdict="unsupported")
                    & Q(reason="", probability__isnull=False, probability__range=(0, 1))
                ),
            ),
        ]
        indexes = [
            # What the scorecard says of the pictures over time: read from here, a tenth of the table's size.
            models.Index(
                fields=["analysis"], include=["ood_distance", "width", "height"], name="finding_inputs"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def has_heatmap(self) -> bool:
        """Whether there is a heatmap to draw: none where no area stands out."""
        return bool(self.map_file) and self.location != LocationBand.NONE


class Worker(models.Model):
    """A live worker child: what it runs and when it was last seen."""

    name = models.CharField(max_length=120, unique=True)
    bundle = models.CharField(max_length=120, blank=True)
    runtime = models.CharField(max_length=40, blank=True)
    precision = models.CharField(max_length=16, blank=True)
    software = models.CharField(max_length=40, blank=True)
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    last_seen = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """When a process that has no row of its own last did its round: one row for each kind of process."""

    RECONCILER = "reconciler"
    DICOM_NODE = "dicom-node"

    name = models.CharField(max_length=40, primary_key=True)
    last_seen = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name
