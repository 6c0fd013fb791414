"""What keeps the portal from starting, as one sentence for the person at the terminal."""

from __future__ import annotations


class StartProblem(Exception):
    """The sentence says what is wrong and what to do; it is printed without a traceback."""
