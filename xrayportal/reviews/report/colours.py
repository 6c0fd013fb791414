"""The colours of the printed page: the light ones of the screen, read from its style sheet."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from django.contrib.staticfiles import finders
from reportlab.lib.colors import Color, HexColor

from xrayportal.words import verdicts

_TOKENS = "shared/tokens.css"
_TOKEN = re.compile(r"--(?P<name>[\w-]+): light-dark\((?P<light>#[0-9a-f]{6}),")


@functools.cache
def _light_colours() -> dict[str, str]:
    path = finders.find(_TOKENS)
    if path is None:
        raise LookupError(f"{_TOKENS} is not among the static files.")
    return {token["name"]: token["light"] for token in _TOKEN.finditer(Path(path).read_text())}


def token(name: str) -> Color:
    """The light value of a colour of ``static/shared/tokens.css``, by its name without the dashes in front.

    Raises KeyError for a name that the file does not have.
    """
    return HexColor(_light_colours()[name])


def outcome_colour(code: str) -> Color:
    """The colour of an outcome (``analyses.outcomes``): that of its verdict."""
    return token(f"verdict-{verdicts.TONES.get(code, code)}")
