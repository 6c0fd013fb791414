"""A version in one query: what a page shows, reduced to a short text that changes when it does."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat


def version_expr(*pieces: F | Count | Subquery[Any]) -> Concat:
    """The values of the pieces with dots between them; NULL is empty."""
    dot = Value(".", output_field=TextField())
    texts = [Coalesce(Cast(piece, TextField()), Value("", output_field=TextField())) for piece in pieces]
    joined = [part for text in texts for part in (text, dot)]
    return Concat(*joined, output_field=TextField())
