"""What operations tell of the token."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import Field


class TokenInfo(Schema):
    """The token of the request, and what it may do."""

    name: str
    clinic: str
    clinic_name: str
    roles: list[str]
    scopes: list[str]
    expires_at: datetime
    reads_blind: Annotated[
        bool, Field(description="Predictions are hidden until a verdict of one's own is saved.")
    ]
