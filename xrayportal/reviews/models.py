"""Reviews: what a reader says of a study, the Consensus of its readers, and the ReferencePrediction."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from xrayportal.analyses.models import Leaning, Reason, Verdict


class Review(models.Model):
    """One stored opinion of one reader on one study.

    Rows are only ever added: a change of mind is a new row that names the one it supersedes. The
    database refuses every update but two, ``signed_at`` from empty to a time and ``is_current``
    from true to false (sql/never_overwritten.sql). Drafts come before the first signature only, or take
    the place of a signature that was taken back within minutes (``services.withdraw_signature``).
    """

    class Kind(models.TextChoices):
        FIRST = "first", _("First reading")
        SECOND = "second", _("Second reading")
        ADJUDICATION = "adjudication", _("Adjudication")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="reviews")
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="reviews")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    #: The result that the portal had shown to the reader; empty when the opinion is blind.
    analysis = models.ForeignKey(
        "analyses.Analysis", null=True, blank=True, on_delete=models.SET_NULL, related_name="reviews"
    )
    was_blind = models.BooleanField()
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    #: The body part as the reader corrected it; empty when they let the model's stand.
    body_part = models.CharField(max_length=32, blank=True)
    #: Regions drawn: a list of {image, box: [x, y, width, height]} in displayed pixels of that image.
    boxes = models.JSONField(default=list, blank=True)
    comment = models.TextField(blank=True, max_length=4000)
    created_at = models.DateTimeField(auto_now_add=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="superseded_by"
    )
    is_current = models.BooleanField(default=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            # Two chains at most for one person: their own reading, and an adjudication.
            models.UniqueConstraint(
                fields=["study", "reader"],
                name="review_one_current_reading",
                condition=Q(is_current=True) & ~Q(kind="adjudication"),
            ),
            models.UniqueConstraint(
                fields=["study", "reader"],
                name="review_one_current_adjudication",
                condition=Q(is_current=True, kind="adjudication"),
            ),
            models.CheckConstraint(name="review_verdict_known", condition=Q(verdict__in=Verdict.values)),
            models.CheckConstraint(
                name="review_kind_known", condition=Q(kind__in=["first", "second", "adjudication"])
            ),
            models.CheckConstraint(
                name="review_blind_saw_nothing", condition=Q(was_blind=False) | Q(analysis__isnull=True)
            ),
        ]
        indexes = [
            models.Index(fields=["reader", "study"], name="review_by_reader"),
            models.Index(fields=["clinic", "-signed_at"], name="review_signed", condition=Q(is_current=True)),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_signed(self) -> bool:
        """Whether it is final, so that only a new review can supersede it."""
        return self.signed_at is not None


class Consensus(models.Model):
    """What the reviews of one study come to: derived from them in the transaction that stores them.

    Lists, counts and the scorecard ask this one row instead of every chain of reviews; the rule
    is ``reviews.consensus.derive_consensus``. ``adjudicator`` alone is not derived: an admin names them.
    """

    class State(models.TextChoices):
        OPEN = "open", _("No review signed")
        AGREED = "agreed", _("Agreed")
        DISAGREED = "disagreed", _("Readers disagree")
        ADJUDICATED = "adjudicated", _("Adjudicated")

    study = models.OneToOneField(
        "studies.Study", primary_key=True, on_delete=models.CASCADE, related_name="consensus"
    )
    clinic = models.ForeignKey("clinics.Clinic", on_delete=models.PROTECT, related_name="consensuses")
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    #: The verdict agreed on; empty while no review is signed or the readers disagree.
    verdict = models.CharField(max_length=16, choices=Verdict.choices, blank=True)
    #: The same rule over the opinions stored before the prediction was revealed.
    blind_verdict = models.CharField(max_length=16, choices=Verdict.choices, blank=True)
    body_part = models.CharField(max_length=32, blank=True)
    #: How many readers who signed (adjudicators not counted).
    readers = models.PositiveSmallIntegerField(default=0)
    #: How many of those signed another verdict than the one they had stored blind.
    changes = models.PositiveSmallIntegerField(default=0)
    adjudicator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    #: Since when it is what it is; naming an adjudicator, or a draft, changes nothing of it.
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="consensus_agreed_has_verdict",
                condition=Q(state__in=["open", "disagreed"], verdict="")
                | (Q(state__in=["agreed", "adjudicated"]) & ~Q(verdict="")),
            ),
        ]
        indexes = [
            models.Index(fields=["clinic", "state", "-changed_at"], name="consensus_by_state"),
            models.Index(fields=["clinic", "verdict"], name="consensus_by_verdict"),
        ]

    def __str__(self) -> str:
        return f"{self.study_id} {self.state}"


class ReferencePrediction(models.Model):
    """The analysis that counts where predictions are compared: one row for each study and bundle.

    It is the bundle's own answer: the newest succeeded analysis, primary or shadow, that used no body part
    but the one that the sender stated. An analysis with a body part that a reader corrected afterwards does
    not count for or against the bundle. Triggers (sql/reference_predictions.sql) renew the row whenever an
    analysis succeeds or is deleted, so that the scorecard adds up narrow rows instead of looking for the
    newest among all analyses.
    """

    analysis = models.OneToOneField(
        "analyses.Analysis", primary_key=True, on_delete=models.CASCADE, related_name="reference_prediction"
    )
    # The constraint's index begins with the study; the other two keys come together in an index below.
    study = models.ForeignKey(
        "studies.Study", on_delete=models.CASCADE, related_name="reference_predictions", db_index=False
    )
    bundle = models.ForeignKey(
        "analyses.Bundle", on_delete=models.PROTECT, related_name="reference_predictions", db_index=False
    )
    clinic = models.ForeignKey(
        "clinics.Clinic", on_delete=models.PROTECT, related_name="reference_predictions", db_index=False
    )
    purpose = models.CharField(max_length=16)
    #: The study's ``created_at``.
    sent_at = models.DateTimeField()
    # Copied from the analysis: a result never changes.
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    reason = models.CharField(max_length=32, choices=Reason.choices, blank=True)
    leaning = models.CharField(max_length=16, choices=Leaning.choices, blank=True)
    body_part = models.CharField(max_length=32, blank=True)
    probability = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "bundle"], name="reference_one_a_bundle"),
        ]
        indexes = [
            # Periods of one bundle, and the bundles that a clinic has answers of.
            models.Index(fields=["clinic", "bundle", "-sent_at"], name="reference_by_time"),
            # Few or none: found without reading the primary ones.
            models.Index(fields=["clinic"], name="reference_shadows", condition=Q(purpose="shadow")),
        ]

    def __str__(self) -> str:
        return str(self.analysis_id)
