"""Form fields that clean any text a browser or a script may send; and how a form is refused."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms

#: The status of a page that shows a form again with what is wrong in it: the form's values were understood.
REFUSED = 422


class CutCharField(forms.CharField):
    """Text without null characters, which PostgreSQL does not keep, cut at ``longest`` characters."""

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        super().__init__(required=kwargs.pop("required", False), **kwargs)
        self.longest = longest

    def to_python(self, value: Any) -> str:
        """The text as the database can keep it."""
        return str(super().to_python(value)).replace("\0", "")[: self.longest]


class IdField(forms.CharField):
    """The id of a row; None for an empty text and for a text that is not an id."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)

    def clean(self, value: Any) -> uuid.UUID | None:
        """The id or None; never raises ValidationError."""
        try:
            return uuid.UUID(value or "")
        except ValueError:
            return None


class IdsField(forms.MultipleChoiceField):
    """Several ids; other texts are left out, and so are all after the first ``most``."""

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.most = most

    def clean(self, value: Any) -> list[uuid.UUID]:
        """The ids in the order in which they were sent."""
        ids = [IdField().clean(text) for text in (value or [])[: self.most]]
        return [one for one in ids if one is not None]
