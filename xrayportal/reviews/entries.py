"""What a reader sends: checked before anything is stored. No database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.analyses.models import Verdict

MAX_BOXES = 20
MAX_COMMENT = 4000
#: Displayed pixels; more than any radiograph has.
MAX_SIDE = 65_535

Sentence = str | Promise


class Box(TypedDict):
    """A region drawn: ``box`` is [x, y, width, height] in displayed pixels of the image."""

    image: str
    box: list[int]


@dataclass(frozen=True)
class Entry:
    """A reader's opinion, not yet stored."""

    verdict: str
    body_part: str = ""
    boxes: list[Box] = field(default_factory=list)
    comment: str = ""


class BadEntry(ValueError):
    """A sentence for the reader about what they sent."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence


def parse_entry(
    data: Mapping[str, str], *, body_parts: Collection[str], images: Collection[uuid.UUID]
) -> Entry:
    """The opinion in a posted form (``verdict``, ``body_part``, ``boxes`` as JSON, ``comment``).

    ``parts`` are the body parts that the bundle knows, ``images`` those of the study. Raises BadEntry.
    """
    verdict = data.get("verdict", "")
    if verdict not in Verdict.values:
        raise BadEntry(_("Choose a verdict first."))
    body_part = data.get("body_part", "")
    if body_part and body_part not in body_parts:
        raise BadEntry(_("The bundle does not know this body part. Choose one from the list."))
    # Browsers send line ends as CR LF; a review is the same whichever way it came.
    comment = data.get("comment", "").replace("\r\n", "\n").replace("\x00", "").strip()
    if len(comment) > MAX_COMMENT:
        raise BadEntry(_("The comment is too long: at most 4,000 characters."))
    return Entry(verdict, body_part, parse_boxes(data.get("boxes", ""), images=images), comment)


def parse_boxes(text: str, *, images: Collection[uuid.UUID]) -> list[Box]:
    """Boxes from JSON: ``[{"image": id, "box": [x, y, width, height]}, …]``. Raises BadEntry."""
    bad = BadEntry(_("The drawn regions could not be read. Draw them again."))
    try:
        rows = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise bad from error
    if not isinstance(rows, list):
        raise bad
    if len(rows) > MAX_BOXES:
        raise BadEntry(_("Too many regions: at most 20."))
    known = {str(image) for image in images}
    boxes: list[Box] = []
    for row in rows:
        match row:
            case {"image": str(image), "box": [int(x), int(y), int(width), int(height)]} if image in known:
                # JSON's true is an int to Python.
                if any(isinstance(side, bool) for side in (x, y, width, height)):
                    raise bad
                if min(x, y) < 0 or min(width, height) < 1 or max(x + width, y + height) > MAX_SIDE:
                    raise bad
                boxes.append({"image": image, "box": [x, y, width, height]})
            case _:
                raise bad
    return boxes
