"""The fonts of everything printed: DejaVu Sans, because names and comments come in many scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

BODY: Final = "DejaVuSans"
BOLD: Final = "DejaVuSans-Bold"
_FONTS = Path(__file__).parent / "fonts"


def register_fonts() -> None:
    """Register the fonts once per process; reportlab puts only the letters in use into a file."""
    registered = pdfmetrics.getRegisteredFontNames()
    for name in (BODY, BOLD):
        if name not in registered:
            pdfmetrics.registerFont(TTFont(name, str(_FONTS / f"{name}.ttf")))
