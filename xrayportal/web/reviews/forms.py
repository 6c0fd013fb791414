"""Forms of a reader's own verdict and of the admin's choice of an adjudicator."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from xrayportal.analyses.models import Verdict
from xrayportal.clinics.models import Clinic, User
from xrayportal.reviews.adjudication import clinic_readers
from xrayportal.reviews.entries import MAX_BOXES, MAX_COMMENT, MAX_SIDE, Box, Entry
from xrayportal.web.shared.fields import IdField

NO_VERDICT = _("Choose a verdict first.")
UNKNOWN_BODY_PART = _("The model does not know this body part. Choose one from the list.")


class BoxesField(forms.CharField):
    """Drawn regions as JSON: ``[{"image": id, "box": [x, y, width, height]}, …]``, in displayed pixels.

    ``images`` are the ids that a region may name.
    """

    default_error_messages = {
        "unreadable": _("The drawn regions were not understood. Draw them again."),
        "many": _("There are too many regions: at most %(most)d."),
    }

    def __init__(self, *, images: Collection[uuid.UUID]) -> None:
        super().__init__(required=False)
        self.images = {str(image) for image in images}

    def clean(self, value: Any) -> list[Box]:
        """The regions, without other keys that the sender may have put beside them."""
        try:
            rows = json.loads(value or "[]")
        except (ValueError, RecursionError):
            rows = None
        if not isinstance(rows, list):
            raise self._error("unreadable")
        if len(rows) > MAX_BOXES:
            raise self._error("many", most=MAX_BOXES)
        return [self._box(row) for row in rows]

    def _box(self, row: object) -> Box:
        match row:
            case {"image": str(image), "box": [int(x), int(y), int(width), int(height)]} if (
                image in self.images
                # JSON's true is an int to Python.
                and not any(isinstance(side, bool) for side in (x, y, width, height))
                and min(x, y) >= 0
                and min(width, height) >= 1
                and max(x + width, y + height) <= MAX_SIDE
            ):
                return {"image": image, "box": [x, y, width, height]}
        raise self._error("unreadable")

    def _error(self, code: str, **params: Any) -> ValidationError:
        return ValidationError(self.error_messages[code], code=code, params=params)


class ReviewForm(forms.Form):
    """A reader's opinion. ``body_parts`` are those that the bundle knows, ``images`` are the study's ids."""

    verdict = forms.ChoiceField(
        choices=Verdict.choices, error_messages={"required": NO_VERDICT, "invalid_choice": NO_VERDICT}
    )
    body_part = forms.ChoiceField(required=False, error_messages={"invalid_choice": UNKNOWN_BODY_PART})
    comment = forms.CharField(required=False)
    #: The review that the reader saw as their own; any text that is not an id counts as out of date.
    supersedes = forms.CharField(required=False)
    #: How many images the study had when the form was made; another number counts as out of date.
    images_shown = forms.IntegerField(required=False, min_value=0, max_value=2**31)
    #: Set where the form settles a disagreement.
    adjudicates = forms.CharField(required=False)

    def __init__(
        self, data: Mapping[str, str], *, body_parts: Collection[str], images: Collection[uuid.UUID]
    ) -> None:
        super().__init__({**data, "comment": data.get("comment", "").replace("\0", "")})
        self.fields["body_part"].choices = [(body_part, body_part) for body_part in body_parts]  # type: ignore[attr-defined]
        self.fields["boxes"] = BoxesField(images=images)

    def clean_comment(self) -> str:
        """With LF as line ends: browsers send CR LF, and a review is the same either way."""
        comment: str = self.cleaned_data["comment"].replace("\r\n", "\n")
        if len(comment) > MAX_COMMENT:
            limit = number_format(MAX_COMMENT, force_grouping=True)
            raise ValidationError(
                _("The comment is too long: at most %(limit)s characters."), params={"limit": limit}
            )
        return comment

    def clean_supersedes(self) -> uuid.UUID | None:
        """The id, None for an empty text, and an id that no row has for any other text."""
        text: str = self.cleaned_data["supersedes"]
        try:
            return uuid.UUID(text) if text else None
        except ValueError:
            return uuid.UUID(int=0)

    def clean_adjudicates(self) -> bool:
        """Whether the opinion is an adjudication."""
        return bool(self.cleaned_data["adjudicates"] == "1")

    @property
    def entry(self) -> Entry:
        """The opinion of a valid form."""
        cleaned = self.cleaned_data
        return Entry(cleaned["verdict"], cleaned["body_part"], cleaned["boxes"], cleaned["comment"])

    @property
    def sentence(self) -> str:
        """The first error of an invalid form."""
        return str(next(iter(self.errors.values()))[0])


class WithdrawForm(forms.Form):
    """A signature to take back, and the reading session to go on with."""

    review = forms.UUIDField()
    reading = IdField()


class AdjudicatorForm(forms.Form):
    """The reader who settles a disagreement; empty leaves it to any third reader."""

    reader = forms.ModelChoiceField(queryset=User.objects.none(), required=False)

    def __init__(self, data: Mapping[str, str], *, clinic: Clinic) -> None:
        super().__init__(data)
        self.fields["reader"].queryset = clinic_readers(clinic)  # type: ignore[attr-defined]
