"""A reader's opinion before it is stored, and its limits. Knows no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

from django.utils.functional import Promise

MAX_BOXES = 20
MAX_COMMENT = 4000
#: Displayed pixels; more than any radiograph has.
MAX_SIDE = 65_535

Sentence = str | Promise


class Box(TypedDict):
    """A region that a reader drew: ``box`` is [x, y, width, height] in displayed pixels of the image."""

    image: str
    box: list[int]


@dataclass(frozen=True)
class Entry:
    """A reader's opinion, not yet stored."""

    verdict: str
    body_part: str = ""
    boxes: list[Box] = field(default_factory=list)
    comment: str = ""
