"""What may end one analysis of a batch, and how an error is logged."""

from __future__ import annotations

import traceback

from xrayportal.analyses.results import UnreadableView


class CalledOffError(Exception):
    """The analysis was cancelled, or its lease was lost, while one of its pictures was decoded."""


class OutOfTimeError(Exception):
    """The batch has taken almost as long as a batch may take."""


class NoViewDecodedError(Exception):
    """No view of a study can be decoded; ``views`` have the reasons."""

    def __init__(self, views: list[UnreadableView]) -> None:
        super().__init__(f"none of {len(views)} views")
        self.views = views


def where(error: Exception) -> str:
    """The error's kind and place, without its message, which could quote the file."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
