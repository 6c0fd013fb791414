"""What the API answers, as far as this client uses it; what a later portal adds is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class _Record:
    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        """From the JSON of an answer."""
        return cls(**{field.name: answer[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Token(_Record):
    """The token, its clinic, and what it may do."""

    name: str
    clinic: str
    roles: list[str]
    scopes: list[str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a submission is. ``total`` counts its studies; those that are not ended wait or run."""

    id: str
    state: str
    is_final: bool
    position: int
    received: int
    rejected: int
    total: int
    succeeded: int
    failed: int
    cancelled: int

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Progress:
        """From the JSON of a submission."""
        files, studies = answer["files"], answer["studies"]
        return cls(
            id=answer["id"],
            state=answer["state"],
            is_final=answer["is_final"],
            position=answer["position"],
            received=sum(files.values()),
            rejected=files["rejected"],
            total=studies["total"],
            succeeded=studies["succeeded"],
            failed=studies["failed"],
            cancelled=studies["cancelled"],
        )

    @property
    def ended(self) -> int:
        """How many studies will not change by themselves any more."""
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class Upload(_Record):
    """One file and its outcome: accepted, duplicate, applied (an archive or a CSV) or rejected."""

    id: str
    filename: str
    outcome: str
    kind: str
    sentence: str
    study: str | None


@dataclass(frozen=True, slots=True)
class Result(_Record):
    """A study's prediction. ``probability`` is calibrated, from 0 to 1, and None where there is none."""

    analysis: str
    verdict: str
    verdict_words: str
    leaning: str
    reason: str
    body_part: str
    probability: float | None
    threshold_low: float
    threshold_high: float
    bundle: str
    analysed_at: str
    notice: str


@dataclass(frozen=True, slots=True)
class Study:
    """One examination. ``result`` is None before there is one, and while it ``is_hidden``."""

    id: str
    submission: str
    patient_reference: str
    name: str
    views: int
    status: str
    created_at: datetime
    is_hidden: bool
    result: Result | None

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Study:
        """From the JSON of a study."""
        plain = {field.name: answer[field.name] for field in fields(cls)}
        result = answer["result"]
        plain["created_at"] = datetime.fromisoformat(answer["created_at"])
        return cls(**{**plain, "result": Result.read(result) if result else None})


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one view; ``files`` are addresses by kind, None where there is none."""

    id: str
    image: str
    verdict: str | None
    probability: float | None
    files: Mapping[str, str | None]

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Finding:
        """From the JSON of a finding."""
        return cls(**{field.name: answer[field.name] for field in fields(cls)})
