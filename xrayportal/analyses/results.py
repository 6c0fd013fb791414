"""What a worker hands to the queue: plain records, files already written."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ViewResult:
    """The result for one image; the names are of files that lie in the storage already.

    ``probability`` is calibrated, 0 to 1; ``peak`` is ``(x, y)`` in displayed pixels, ``spacing`` in
    mm per pixel (row, column). For ``unsupported`` the fields ``probability``, ``peak`` and ``trust``
    are ``None`` and there is neither overlay nor map.
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
    milliseconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnreadableView:
    """A view that could not be read: a kind, by which pages translate, and a sentence in English."""

    image_id: uuid.UUID
    kind: str
    filename: str
    reason: str

    @property
    def sentence(self) -> str:
        """For people: the reason, and which file."""
        return f"Could not read {self.filename}. {self.reason}"

    def as_json(self) -> dict[str, str]:
        """As the ``unreadable`` column keeps it."""
        return {
            "image": str(self.image_id),
            "kind": self.kind,
            "file": self.filename,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """The result of one analysis: of its study, and of each view.

    ``parts`` are the mean part probabilities over supported views, ``probability`` the study's score
    (``None`` when every view is unsupported).
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
