"""Form fields for what browsers and scripts send: nothing that they write is an error of the portal's own."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms


class CutCharField(forms.CharField):
    """Text without null characters, which PostgreSQL does not keep, cut at ``longest`` characters."""

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        super().__init__(required=kwargs.pop("required", False), **kwargs)
        self.longest = longest

    def to_python(self, value: Any) -> str:
        """The text as it is kept."""
        return str(super().to_python(value)).replace("\0", "")[: self.longest]


class IdField(forms.CharField):
    """The id of a row, or None for nothing and for what is no id."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)

    def clean(self, value: Any) -> uuid.UUID | None:
        """Never refuses: an id that is none names no row."""
        try:
            return uuid.UUID(value or "")
        except ValueError:
            return None


class IdsField(forms.MultipleChoiceField):
    """Several ids; what is no id is left out, and so is what comes after the first ``most``."""

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.most = most

    def clean(self, value: Any) -> list[uuid.UUID]:
        """In the order in which they came."""
        ids = [IdField().clean(text) for text in (value or [])[: self.most]]
        return [one for one in ids if one is not None]
