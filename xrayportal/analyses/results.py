"""The records in which a worker hands its results to the queue; their files are written already."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ViewResult:
    """The result for one image. The files are names in the storage.

    ``probability`` is calibrated, 0 to 1; ``width``, ``height`` and ``peak`` (x, y) are in displayed pixels,
    ``spacing`` (row, column) in millimetres per pixel. For the verdict ``unsupported``, and where there is a
    ``reason``, ``probability``, ``peak`` and ``trust`` are ``None`` and there is neither overlay nor map.
    ``depth`` and its file: see `Finding`. ``notes`` are codes of `inference_worker.notes`, those of the
    intake among them.
    """

    image_id: uuid.UUID
    verdict: str
    body_parts: dict[str, float]
    probability: float | None
    peak: tuple[int, int] | None
    trust: float | None
    ood_distance: float
    width: int
    height: int
    spacing: tuple[float, float] | None
    display_file: str
    thumbnail_file: str
    overlay_file: str = ""
    map_file: str = ""
    depth_file: str = ""
    depth: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    milliseconds: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    leaning: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableView:
    """A view that could not be read: a kind, by which pages translate, and the reason in English."""

    image_id: uuid.UUID
    kind: str
    filename: str
    reason: str

    @property
    def sentence(self) -> str:
        """The file's name and the reason, for people."""
        return f"Could not read {self.filename}. {self.reason}"

    def as_json(self) -> dict[str, str]:
        """The view as the column ``Analysis.unreadable`` keeps it."""
        return {
            "image": str(self.image_id),
            "kind": self.kind,
            "file": self.filename,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """The result of one analysis: of its study, and of each view.

    ``body_parts`` are the mean probabilities of the body parts over supported views. ``probability`` is the
    study's, calibrated, 0 to 1; ``None`` when every view is unsupported, or where a ``reason`` (a code of
    ``Reason``) says why there is none. ``milliseconds`` are by stage.
    """

    verdict: str
    body_part: str
    body_parts: dict[str, float]
    probability: float | None
    views: list[ViewResult]
    unreadable: list[UnreadableView]
    runtime: str
    precision: str
    software: str
    milliseconds: dict[str, float]
    reason: str = ""
    leaning: str = ""
