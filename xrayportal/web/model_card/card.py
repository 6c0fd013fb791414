"""The tables of a model card, from the manifest that the portal stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xrayportal.analyses.models import Bundle
from xrayportal.reviews.scorecard.charts import Interval
from xrayportal.reviews.scorecard.statistics import Figure, wilson
from xrayportal.words import claims
from xrayportal.words.figures import percent
from xrayportal.words.verdicts import body_part_word, verdict_word

#: Prevalences that the table of predictive values shows beside the test set's own.
PREVALENCES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
#: Keys of the manifest's ``metrics`` that people are told, in this order.
METRICS: dict[str, Promise] = {
    "auc": _("Area under the ROC curve"),
    "judged_auc": _("The same on judged body parts"),
    "average_precision": _("Average precision"),
    # xgettext:no-python-format
    "sensitivity_at_90_specificity": _("Sensitivity at 90 % specificity"),
    "sensitivity_at_low": _("Sensitivity at the lower threshold"),
    "specificity_at_low": _("Specificity at the lower threshold"),
    "sensitivity_at_high": _("Sensitivity at the upper threshold"),
    "specificity_at_high": _("Specificity at the upper threshold"),
    "uncertain": _("Share of uncertain results"),
    "judged_uncertain": _("The same on judged body parts"),
    "precision_at_high": _("Share with a finding above the upper threshold"),
    "brier": _("Brier score"),
    "ece": _("Calibration error"),
    "body_part_accuracy": _("Body part correct"),
    "pointing_true_positives": _("Peak on the finding, where one was suspected"),
    "pointing_all": _("Peak on the finding, over all findings"),
    "nothing_drawn": _("Images with a finding on which nothing is drawn"),
    "out_of_distribution_rejected": _("Test images turned away as outside what the model can analyse"),
}


@dataclass(frozen=True)
class RateRow:
    """A result of the test: its outcome and word, its images, those with a finding and their share."""

    outcome: str
    word: str
    pictures: int
    abnormal: int
    share: Interval | None


@dataclass(frozen=True)
class PrevalenceRow:
    """The share with a finding by result, where so many images have one."""

    prevalence: str
    is_measured: bool
    shares: list[str]


@dataclass(frozen=True)
class BodyPartRow:
    """What was measured of one body part."""

    word: str
    pictures: int
    abnormal: int
    auc: Interval | None
    judged: bool


@dataclass(frozen=True)
class LocationRow:
    """How often the peak lay on the finding in one band."""

    word: Promise
    pictures: int
    hits: int
    share: Interval | None


@dataclass(frozen=True)
class MetricRow:
    """A figure on the test set."""

    word: Promise
    value: Interval | None
    n: int


class ModelCard:
    """The card of one bundle; each table is empty where the bundle measured nothing."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.manifest: Mapping[str, Any] = bundle.manifest

    @property
    def released(self) -> date:
        """The day of the release."""
        return date.fromisoformat(self.manifest["released"])

    @property
    def found(self) -> str:
        """What the bundle looks for: ``a fracture``."""
        return claims.found_word(self.manifest)

    @property
    def measured_on(self) -> str:
        """The name of the test set; empty where nothing was measured."""
        return claims.measured_on(self.manifest) if self.manifest.get("rates") else ""

    @property
    def prevalence(self) -> str:
        """The share with a finding in the test set."""
        return percent(self.manifest["rates"]["prevalence"])

    @property
    def thresholds(self) -> list[str]:
        """The lower and the upper threshold with all their digits, since results are held against those."""
        return [str(number_format(self.bundle.thresholds[name])) for name in ("low", "high")]

    @property
    def rates(self) -> list[RateRow]:
        """The results of the test, most harmless first."""
        return [
            RateRow(
                outcome,
                verdict_word(self.manifest, outcome),
                rate["pictures"],
                rate["abnormal"],
                Interval.of(wilson(rate["abnormal"], rate["pictures"]))
                if rate["pictures"] >= claims.LEAST_PICTURES
                else None,
            )
            for outcome, rate in claims.rates_of(self.manifest).items()
            if outcome != "uncertain"
        ]

    @property
    def prevalences(self) -> list[PrevalenceRow]:
        """The predictive values at other prevalences, and at that of the test set."""
        rows, rates = self.rates, self.manifest.get("rates")
        if not rates:
            return []
        abnormals = sum(row.abnormal for row in rows)
        normals = sum(row.pictures for row in rows) - abnormals
        measured = rates["prevalence"]
        # The lower of two that print as the same is left out.
        shown = {percent(value): value for value in (*PREVALENCES, measured)}
        return [
            PrevalenceRow(
                words,
                value == measured,
                [
                    percent(share_at(value, row, normals, abnormals))
                    if row.share
                    else gettext("too few cases")
                    for row in rows
                ],
            )
            for words, value in sorted(shown.items(), key=lambda item: item[1])
        ]

    @property
    def body_parts(self) -> list[BodyPartRow]:
        """The body parts in the bundle's order, those that it judges first."""
        reliability = self.manifest.get("body_part_reliability", {})
        rows = [
            BodyPartRow(
                body_part_word(label), one["pictures"], one["abnormal"], _interval(one["auc"]), one["judged"]
            )
            for label in self.bundle.body_parts
            if (one := reliability.get(label))
        ]
        return sorted(rows, key=lambda row: not row.judged)

    @property
    def locations(self) -> list[LocationRow]:
        """The bands of the heatmap's peak."""
        location = self.manifest.get("location")
        if not location:
            return []
        words = {
            "strong": _("Strongest evidence"),
            "weak": _("Only a hint"),
            "none": _("No area stands out"),
        }
        return [
            LocationRow(
                word,
                location[band]["pictures"],
                location[band]["hits"],
                Interval.of(wilson(location[band]["hits"], location[band]["pictures"])),
            )
            for band, word in words.items()
        ]

    @property
    def metrics(self) -> list[MetricRow]:
        """The figures on the test set that the page has words for."""
        metrics = self.manifest.get("metrics", {})
        return [
            MetricRow(word, _interval(metrics[key]), metrics[key]["n"])
            for key, word in METRICS.items()
            if key in metrics
        ]


def share_at(prevalence: float, row: RateRow, normals: int, abnormals: int) -> float:
    """The share with a finding among images with this result, where ``prevalence`` of all have one.

    By Bayes from the test's counts: ``normals`` and ``abnormals`` are its images without and with one. The
    count that would make the result certain is taken as one where it is none: none in a few hundred does not
    mean none ever.
    """
    with_finding = max(1, row.abnormal) / abnormals
    without = max(1, row.pictures - row.abnormal) / normals
    found = prevalence * with_finding
    return found / (found + (1 - prevalence) * without)


def _interval(measured: Mapping[str, Any] | None) -> Interval | None:
    if measured is None:
        return None
    return Interval.of(Figure(measured["value"], measured["low"], measured["high"], measured.get("n", 0)))
