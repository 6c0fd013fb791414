"""From a logit to a verdict, and from a study's views to the study's result. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from inference_worker.types import BODY_PART_NOT_JUDGED

if TYPE_CHECKING:
    from inference_worker.manifest import Aggregate, Calibration
    from inference_worker.types import Finding, Leaning, Verdict


@dataclass(frozen=True, slots=True)
class View:
    """The prediction for one picture: probabilities by body part, and of abnormality (0 to 1).

    ``probability`` is ``None`` for an unsupported picture. It is there for every other one, also for a body
    part that is not judged: in a study the body part of all its views together decides about that.
    """

    body_parts: Mapping[str, float]
    probability: float | None


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The result of a study of ``views`` pictures.

    ``reason`` is `BODY_PART_NOT_JUDGED` where the study's body part is not judged: the verdict is then
    uncertain and ``probability`` is ``None``. It is empty otherwise. ``leaning`` is for an uncertain verdict
    with a probability.
    ``body_part``, ``body_part_probability`` and ``probability`` are ``None`` and ``body_parts`` is empty if
    no view is supported. With a forced body part, ``body_part`` is that one and ``body_part_probability``
    still the networks' own. ``unreadable`` counts views that could not be decoded, ``unsupported`` those
    out of distribution.
    """

    verdict: Verdict
    body_part: str | None
    body_part_probability: float | None
    body_parts: Mapping[str, float]
    probability: float | None
    views: int
    unreadable: int
    unsupported: int
    reason: str = ""
    leaning: Leaning | None = None

    @property
    def is_incomplete(self) -> bool:
        return self.unreadable > 0


def calibrated(logit: float, body_part: str, calibration: Calibration) -> float:
    """Probability of abnormality, 0 to 1: ``sigmoid(slope * logit + intercept + offset of body part)``."""
    z = calibration.slope * logit + calibration.intercept + calibration.offsets.get(body_part, 0.0)
    # The same function twice, in the form that cannot overflow.
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else math.exp(z) / (1.0 + math.exp(z))


def judge(probability: float, low: float, high: float) -> Verdict:
    """``p < low`` normal, ``p >= high`` abnormal, between uncertain. Raises `ValueError` if low > high."""
    if low > high:
        raise ValueError(f"the low threshold ({low:g}) is above the high one ({high:g})")
    if probability >= high:
        return "abnormal"
    return "normal" if probability < low else "uncertain"


def lean(verdict: Verdict, probability: float | None, even: float | None) -> Leaning | None:
    """Below ``even`` an uncertain probability leans towards normal, else towards abnormal.

    ``None`` for any other verdict, without a probability, or where the bundle has no ``even``.
    """
    if verdict != "uncertain" or probability is None or even is None:
        return None
    return "towards_normal" if probability < even else "towards_abnormal"


def not_judged(finding: Finding) -> Finding:
    """The finding of a picture whose body part the bundle does not judge: nothing is said of it.

    An unsupported finding is returned as it is.
    """
    if finding.verdict == "unsupported":
        return finding
    return replace(
        finding,
        verdict="uncertain",
        reason=BODY_PART_NOT_JUDGED,
        probability=None,
        peak=None,
        trust=None,
        map=None,
        leaning=None,
        location=None,
    )


def judge_study(
    views: Sequence[View | None],
    *,
    low: float,
    high: float,
    even: float | None = None,
    aggregate: Aggregate = "mean",
    forced_body_part: str | None = None,
    unjudged: Collection[str] = (),
) -> StudyResult:
    """Judge a study from its views; ``None`` stands for a view that could not be decoded.

    Body part: the largest mean of the body part probabilities over supported views, unless
    ``forced_body_part``. A body part among ``unjudged`` gets no probability, and the verdict uncertain with
    its reason. Score: ``aggregate`` of the views' probabilities; ``even`` splits uncertain ones into two
    leanings. A study with a view that could not be decoded is never normal: the view may be abnormal. Raises
    `ValueError` if no view could be decoded or the forced body part is not among the labels.
    """
    decoded = [view for view in views if view is not None]
    if not decoded:
        raise ValueError("none of the study's views could be decoded")
    if forced_body_part is not None and any(forced_body_part not in view.body_parts for view in decoded):
        raise ValueError(f"{forced_body_part!r} is not among the bundle's body parts")
    supported = [(view.body_parts, view.probability) for view in decoded if view.probability is not None]
    unreadable = len(views) - len(decoded)
    if not supported:
        return StudyResult(
            verdict="unsupported",
            body_part=None,
            body_part_probability=None,
            body_parts={},
            probability=None,
            views=len(views),
            unreadable=unreadable,
            unsupported=len(decoded),
        )
    labels = supported[0][0]
    body_parts = {label: fmean(view_parts[label] for view_parts, _ in supported) for label in labels}
    body_part = forced_body_part or max(body_parts, key=lambda label: body_parts[label])
    is_judged = body_part not in unjudged
    scores = [score for _, score in supported]
    probability = (fmean(scores) if aggregate == "mean" else max(scores)) if is_judged else None
    verdict: Verdict = "uncertain" if probability is None else judge(probability, low, high)
    if verdict == "normal" and unreadable:
        verdict = "uncertain"
    return StudyResult(
        verdict=verdict,
        body_part=body_part,
        body_part_probability=body_parts[body_part],
        body_parts=body_parts,
        probability=probability,
        views=len(views),
        unreadable=unreadable,
        unsupported=len(decoded) - len(supported),
        reason="" if is_judged else BODY_PART_NOT_JUDGED,
        leaning=lean(verdict, probability, even),
    )
