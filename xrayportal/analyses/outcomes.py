"""The outcome of a result: its verdict, told in the finest way that lists, filters and counts know.

An uncertain verdict leans to one side, or the body part is not judged: three columns (verdict, reason,
leaning) make one code, here and nowhere else.
"""

from __future__ import annotations

from typing import Protocol

from django.db.models import Case, CharField, F, Q, Value, When

from xrayportal.analyses.models import Bundle, Leaning, Verdict
from xrayportal.words.verdicts import NOT_JUDGED

#: In order of suspicion.
OUTCOMES = (
    Verdict.NORMAL.value,
    Leaning.TOWARDS_NORMAL.value,
    Verdict.UNCERTAIN.value,
    Leaning.TOWARDS_ABNORMAL.value,
    Verdict.ABNORMAL.value,
    NOT_JUDGED,
    Verdict.UNSUPPORTED.value,
)


class Result(Protocol):
    """An analysis, a finding, or a row that copies their columns."""

    @property
    def verdict(self) -> str:
        """A code of ``Verdict``."""

    @property
    def reason(self) -> str:
        """A code of ``Reason``, or empty."""

    @property
    def leaning(self) -> str:
        """A code of ``Leaning``, or empty."""


def outcome_of(result: Result) -> str:
    """The outcome of a result, a code of ``OUTCOMES``."""
    return outcome_code(result.verdict, result.reason, result.leaning)


def outcome_code(verdict: str, reason: str, leaning: str) -> str:
    """``outcome_of`` from the values of the columns."""
    return NOT_JUDGED if reason else leaning or verdict


def outcomes_of(bundle: Bundle) -> list[str]:
    """The outcomes that this bundle may give: leanings and “not judged” only where it knows them."""
    known = set(Verdict.values)
    if bundle.thresholds.get("even") is not None:
        known |= set(Leaning.values)
    if not all(one["judged"] for one in bundle.manifest.get("body_part_reliability", {}).values()):
        known.add(NOT_JUDGED)
    return [code for code in OUTCOMES if code in known]


def has_outcome(code: str, prefix: str = "") -> Q:
    """The condition that a row has this outcome; ``uncertain`` finds both leanings, too.

    ``prefix`` comes before the names of the columns, such as ``result_``.
    """
    if code == NOT_JUDGED:
        return Q(**{f"{prefix}verdict": Verdict.UNCERTAIN, f"{prefix}reason__gt": ""})
    if code in Leaning.values:
        return Q(**{f"{prefix}verdict": Verdict.UNCERTAIN, f"{prefix}leaning": code})
    return Q(**{f"{prefix}verdict": code, f"{prefix}reason": ""})


def outcome_expression(prefix: str = "", *, leanings: bool = True) -> Case:
    """``outcome_of`` of a row, in the database; without ``leanings`` both are ``uncertain``."""
    whens = [When(**{f"{prefix}reason__gt": ""}, then=Value(NOT_JUDGED))]
    if leanings:
        whens.append(When(**{f"{prefix}leaning__gt": ""}, then=F(f"{prefix}leaning")))
    return Case(*whens, default=F(f"{prefix}verdict"), output_field=CharField())
