"""A plate: one view with its heatmap on it as a page of its own, for people who look through an export."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Final

from django.utils.translation import gettext as _
from reportlab.lib.colors import HexColor
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas

from xrayportal.analyses.claims import location_words
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.reviews.report import pictures
from xrayportal.reviews.report.colours import token
from xrayportal.reviews.report.lettering import BODY, BOLD, register_fonts
from xrayportal.words import figures, verdicts

#: In points: the picture's longer side, and the narrowest page that the words beneath fit on.
_SIDE: Final = 640.0
_NARROWEST: Final = 380.0
_MARGIN: Final = 16.0
_SIZE: Final = 8.5
_LEADING: Final = 12.5
#: What every PDF reader brings along: the pages stay as small as their pictures.
_PLAIN: Final = ("Helvetica", "Helvetica-Bold")
_INK, _DARK = token("ink-1"), HexColor("#000000")


@dataclass(frozen=True, slots=True)
class Caption:
    """The words beneath a picture, the first line larger than the rest."""

    title: str
    lines: list[str]


def caption_of(finding: Finding, analysis: Analysis, *, reference: str, number: int, views: int) -> Caption:
    """The caption of view ``number`` of ``views``: its verdict, what its map is worth, its bundle."""
    manifest = analysis.bundle.manifest
    verdict = verdicts.verdict_word(manifest, outcome_of(finding))
    low, high = analysis.threshold_low, analysis.threshold_high
    title = f"{verdict} {figures.format_beside(finding.probability, low, high)[0]}".strip()
    body_part = verdicts.body_part_word(analysis.forced_body_part or analysis.body_part)
    view = _("View %(number)d of %(all)d") % {"number": number, "all": views}
    location = location_words(finding, analysis)
    return Caption(
        title,
        [
            " · ".join(word for word in (reference, body_part, view) if word),
            f"{_('Heatmap')}: {location}" if location else _("Heatmap"),
            f"{_('Model version')} {analysis.bundle.name}",
        ],
    )


def render_plate(display: bytes, overlay: bytes, caption: Caption) -> bytes | None:
    """One page as PDF: the radiograph with the heatmap on it, its caption, and the research-use line.

    ``display`` and ``overlay`` are files as the worker wrote them and are passed on undecoded, so the
    radiograph keeps its full resolution. None where one of them is a file of another kind.
    """
    radiograph, heatmap = pictures.jpeg(display), pictures.overlay(overlay)
    if radiograph is None or heatmap is None:
        return None
    body, bold = _faces([caption.title, *caption.lines])
    scale = _SIDE / max(radiograph.width, radiograph.height)
    width, height = radiograph.width * scale, radiograph.height * scale
    page_width = max(width, _NARROWEST)
    lines = [
        (font, size, line)
        for font, size, text in (
            (bold, _SIZE * 1.4, caption.title),
            *((body, _SIZE, text) for text in caption.lines),
            (bold, _SIZE, _("Research use only. Not a diagnosis.")),
        )
        for line in simpleSplit(text, font, size, page_width - 2 * _MARGIN)
    ]
    footer = _MARGIN * 1.5 + _LEADING * len(lines)
    out = BytesIO()
    canvas = Canvas(out, pagesize=(page_width, height + footer), pageCompression=1)
    canvas.setTitle(caption.title)
    canvas.setSubject(_("Research use only. Not a diagnosis."))
    canvas.setFillColor(_DARK)
    canvas.rect(0, footer, page_width, height, fill=1, stroke=0)
    pictures.draw_marked(canvas, radiograph, heatmap, (page_width - width) / 2, footer, width, height)
    canvas.setFillColor(_INK)
    y = footer - _MARGIN * 0.5
    for font, size, line in lines:
        y -= _LEADING
        canvas.setFont(font, size)
        canvas.drawString(_MARGIN, y, line)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _faces(texts: list[str]) -> tuple[str, str]:
    """Regular and bold: Helvetica where it has all letters, else DejaVu Sans, which goes into the file."""
    try:
        "".join(texts).encode("cp1252")
    except UnicodeEncodeError:
        register_fonts()
        return BODY, BOLD
    return _PLAIN
