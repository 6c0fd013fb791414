"""The kinds of values that several schemas have.

Moments are ISO 8601 in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from django.db.models import TextChoices
from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, WithJsonSchema

_DATED = re.compile(r"\d{4}-\d\d-\d\dT")
#: Text that PostgreSQL keeps: anything but the null character.
PLAIN = r"^[^\x00]*$"


def _dated(value: object) -> object:
    if isinstance(value, str) and not _DATED.match(value):
        raise ValueError("a moment as of ISO 8601, such as 2026-11-26T08:00:00Z")
    return value


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("a whole number")
    return value


def _representable(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment that UTC cannot express") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_dated), AfterValidator(_representable)]
#: JSON's own: a text is no number (comes last, after the limits), and a number no truth.
WHOLE = BeforeValidator(_number)
Truth = Annotated[bool, Field(strict=True)]


def one_of(choices: type[TextChoices]) -> WithJsonSchema:
    """How the document describes a text that is one of these."""
    return WithJsonSchema({"type": "string", "enum": list(choices.values)})


def one_of_or_none(choices: type[TextChoices]) -> WithJsonSchema:
    """The same for a text that may also be empty."""
    return WithJsonSchema({"type": "string", "enum": ["", *choices.values]})


class Input(Schema):
    """A body that is sent: a name that is not known is an error."""

    model_config = ConfigDict(extra="forbid")
