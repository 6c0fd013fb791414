"""The report's page: A4, drawn from top to bottom, always exactly one."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from django.core.files.storage import Storage
from django.utils.html import escape
from django.utils.translation import gettext as _
from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph

from xrayportal.reviews.report import pictures
from xrayportal.reviews.report.colours import outcome_colour, token
from xrayportal.reviews.report.facts import Facts, ReviewFact
from xrayportal.reviews.report.lettering import BODY, BOLD, register_fonts

_WIDTH, _HEIGHT = A4
_MARGIN: Final = 42.0
_INNER: Final = _WIDTH - 2 * _MARGIN
_GAP: Final = 12.0
#: What both pictures may take, one above the other or side by side.
_PICTURE_HEIGHT: Final = 430.0
_CAPTION: Final = 26.0
#: How much of the ring is filled, by outcome: where it begins and how far it goes, in degrees.
_WEDGES: Final = {"towards_normal": (180, 90), "uncertain": (90, 180), "towards_abnormal": (90, 270)}
#: Where the footer begins; nothing above it may reach below.
_FOOTER: Final = _MARGIN + 62.0
_INK, _QUIET, _LINE, _PAPER = (token(name) for name in ("ink-1", "ink-2", "line-strong", "surface-2"))


def render_report(facts: Facts, *, storage: Storage) -> bytes:
    """The report as PDF; a sentence stands in the place of a picture that is missing or of another kind."""
    register_fonts()
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, pageCompression=1)
    canvas.setTitle(f"{_('Radiograph report')} {facts.study[:8]}")
    canvas.setAuthor(facts.clinic)
    canvas.setSubject(_("Research use only. Not a diagnosis."))
    page = _Page(canvas)
    page.head(facts)
    page.result(facts)
    page.radiograph(facts, storage)
    page.views(facts)
    page.readers(facts)
    page.footer(facts)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


class _Page:
    """Draws the page from top to bottom; ``y`` is where the next thing begins, in points from the bottom."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.y = _HEIGHT - _MARGIN

    def text(
        self,
        text: str,
        *,
        size: float = 9,
        bold: bool = False,
        colour: Color = _INK,
        x: float = _MARGIN,
        width: float = _INNER,
        y: float | None = None,
    ) -> float:
        """Draw wrapped plain text; returns its height in points. Without ``y`` it moves ``self.y``."""
        style = ParagraphStyle(
            "plain", fontName=BOLD if bold else BODY, fontSize=size, leading=size * 1.4, textColor=colour
        )
        paragraph = Paragraph(escape(text).replace("\n", "<br/>"), style)
        _used, height = paragraph.wrap(width, _HEIGHT)
        top = self.y if y is None else y
        paragraph.drawOn(self.canvas, x, top - height)
        if y is None:
            self.y -= height
        return float(height)

    def head(self, facts: Facts) -> None:
        """Title, clinic, and the facts that identify the study."""
        self.canvas.setFont(BODY, 8)
        self.canvas.setFillColor(_QUIET)
        self.canvas.drawRightString(
            _WIDTH - _MARGIN, self.y - 10, _("Printed %(at)s") % {"at": facts.printed}
        )
        self.text(_("Radiograph report"), size=15, bold=True, width=_INNER * 0.6)
        self.text(facts.clinic, colour=_QUIET)
        self.y -= 6
        self.rule()
        rows = [
            [(_("Patient reference"), facts.reference), (_("Received"), facts.sent)],
            [(_("Body part"), facts.body_part), (_("Study"), facts.study)],
        ]
        column = _INNER / 2
        for row in rows:
            heights = []
            for index, (label, value) in enumerate(row):
                x = _MARGIN + index * column
                heights.append(
                    max(
                        self.text(label, size=8, colour=_QUIET, x=x, width=84, y=self.y),
                        self.text(value, size=8, x=x + 84, width=column - 84, y=self.y),
                    )
                )
            self.y -= max(heights) + 2
        self.y -= 4
        self.rule()

    def rule(self) -> None:
        """A thin line across."""
        self.canvas.setStrokeColor(_LINE)
        self.canvas.setLineWidth(0.5)
        self.canvas.line(_MARGIN, self.y, _WIDTH - _MARGIN, self.y)
        self.y -= 8

    def result(self, facts: Facts) -> None:
        """The verdict as shape and word; the probability between its thresholds."""
        tone = outcome_colour(facts.outcome)
        self.glyph(facts.outcome, _MARGIN + 7, self.y - 9, tone)
        left = self.text(facts.verdict, size=14, bold=True, colour=tone, x=_MARGIN + 20, width=230, y=self.y)
        right = self.probability(facts, _MARGIN + 268) if facts.probability is not None else 0.0
        self.y -= max(left, right) + 4
        if facts.claim:
            self.text(facts.claim)
        if facts.incomplete:
            self.text(facts.incomplete, bold=True)
        for note in facts.printed_view.notes:
            self.text(note)
        self.y -= 4

    def glyph(self, code: str, x: float, y: float, tone: Color) -> None:
        """The verdict's own shape, so that verdicts differ on a grey print, too."""
        canvas = self.canvas
        canvas.saveState()
        canvas.setFillColor(tone)
        canvas.setStrokeColor(tone)
        canvas.setLineWidth(1.4)
        if code == "abnormal":
            path = canvas.beginPath()
            path.moveTo(x - 6, y - 5)
            path.lineTo(x + 6, y - 5)
            path.lineTo(x, y + 6)
            path.close()
            canvas.drawPath(path, fill=1, stroke=0)
        else:
            canvas.circle(x, y, 5.4, fill=0)
        if code in _WEDGES:
            begin, extent = _WEDGES[code]
            canvas.wedge(x - 5.4, y - 5.4, x + 5.4, y + 5.4, begin, extent, fill=1, stroke=0)
        if code == "unsupported":
            canvas.line(x - 3.8, y - 3.8, x + 3.8, y + 3.8)
        if code == "not_judged":
            canvas.line(x - 3, y, x + 3, y)
        canvas.restoreState()

    def probability(self, facts: Facts, x: float) -> float:
        """The bar, its two thresholds and the words beneath; returns the height in points."""
        width, top = _WIDTH - _MARGIN - 46 - x, self.y - 2
        value = facts.probability or 0.0
        canvas = self.canvas
        canvas.setFillColor(_PAPER)
        canvas.rect(x, top - 10, width, 8, fill=1, stroke=0)
        canvas.setFillColor(outcome_colour(facts.outcome))
        canvas.rect(x, top - 10, width * value, 8, fill=1, stroke=0)
        canvas.setStrokeColor(_INK)
        canvas.setLineWidth(1)
        for threshold in (facts.low, facts.high):
            canvas.line(x + width * threshold, top - 13, x + width * threshold, top + 1)
        canvas.setFillColor(_INK)
        canvas.setFont(BOLD, 12)
        figure, low, high = facts.figures
        canvas.drawRightString(_WIDTH - _MARGIN, top - 10, figure)
        sentence = _("Probability; thresholds %(low)s and %(high)s") % {"low": low, "high": high}
        if facts.by_clinic:
            by_clinic = _("clinic setting")
            sentence = f"{sentence} ({by_clinic})"
        return 16 + self.text(sentence, size=7.5, colour=_QUIET, x=x, width=_WIDTH - _MARGIN - x, y=top - 14)

    def radiograph(self, facts: Facts, storage: Storage) -> None:
        """The printed view, plain and with the heatmap, side by side."""
        view = facts.printed_view
        picture = pictures.jpeg(_read(storage, view.display_file))
        overlay = pictures.overlay(_read(storage, view.overlay_file))
        if picture is None:
            self.text(_("The radiograph could not be shown on this page."), colour=_QUIET)
            return
        # A wide picture is larger with the other one below it.
        column, row = (_INNER - _GAP) / 2, (_PICTURE_HEIGHT - _CAPTION) / 2
        beside = min(column / picture.width, _PICTURE_HEIGHT / picture.height)
        below = min(_INNER / picture.width, row / picture.height)
        scale = max(beside, below)
        width, height = picture.width * scale, picture.height * scale
        plain = _("View %(number)d of %(all)d") % {"number": view.number, "all": len(facts.views)}
        marked = f"{_('Heatmap')}: {view.location}" if view.location else _("Heatmap")
        if not overlay:
            marked = view.location if not view.overlay_file else ""
            marked = marked or _("No heatmap for this view.")
        step = 0.0 if below > beside else column + _GAP
        places = [_MARGIN, _MARGIN + step]
        top = self.y
        heights: list[float] = []
        for index, (words_, x) in enumerate(zip((plain, marked), places, strict=True)):
            if index and not step:
                top -= height + 4 + heights[0] + 6
            bottom = top - height
            if index == 0:
                pictures.draw(self.canvas, "radiograph", picture, x, bottom, width, height)
            elif overlay:
                pictures.draw_marked(self.canvas, picture, overlay, x, bottom, width, height)
                if view.peak:
                    self.peak(x + view.peak[0] * scale, top - view.peak[1] * scale)
            room = _INNER if not step else column
            heights.append(self.text(words_, size=8, colour=_QUIET, x=x, width=room, y=bottom - 4))
        self.y = top - height - 4 - (max(heights) if step else heights[1]) - 6

    def peak(self, x: float, y: float) -> None:
        """Four ticks around the peak of the heatmap; the spot itself stays free."""
        canvas = self.canvas
        for colour, line in ((_PAPER, 2.6), (_INK, 1.0)):
            canvas.setStrokeColor(colour)
            canvas.setLineWidth(line)
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                canvas.line(x + 12 * dx, y + 12 * dy, x + 20 * dx, y + 20 * dy)

    def views(self, facts: Facts) -> None:
        """All views in one line of text, where there is more than one."""
        if len(facts.views) < 2:
            return
        parts = [f"{view.number}: {view.verdict} {view.probability}".strip() for view in facts.views[:8]]
        if len(facts.views) > 8:
            parts.append("…")
        self.text(f"{_('Views')}: {'; '.join(parts)}", size=8)
        self.y -= 4

    def readers(self, facts: Facts) -> None:
        """The review status and as many reviews as the page holds, with the number of those left out."""
        if not facts.review_status:
            return
        self.rule()
        self.text(_("Readers"), size=10, bold=True)
        self.text(facts.review_status)
        self.y -= 4
        for done, review in enumerate(facts.reviews):
            room = self.y - _FOOTER - 14
            if room < 40:
                left = len(facts.reviews) - done
                self.text(_("More reviews in the portal: %(n)d") % {"n": left}, size=8, colour=_QUIET)
                return
            self.review(review, room)

    def review(self, review: ReviewFact, room: float) -> None:
        """One reader's verdict; a comment that is too long for the page ends with an ellipsis."""
        opinion = f"{review.verdict} · {review.body_part}" if review.body_part else review.verdict
        self.text(f"{review.who}: {opinion}", size=9, bold=True)
        signed = _("signed")
        self.text(f"{review.kind}, {signed} {review.signed}", size=7.5, colour=_QUIET)
        lines = max(0, int((room - 30) / 11.5))
        comment = review.comment
        if comment and lines:
            kept = _first_lines(comment, lines, size=8)
            self.text(kept, size=8)
        self.y -= 5

    def footer(self, facts: Facts) -> None:
        """The notice of research use, and what made the result."""
        self.y = _FOOTER
        self.rule()
        self.text(_("Research use only. Not a diagnosis."), size=10, bold=True)
        self.text(f"{_('Model version')} {facts.bundle}. {facts.made}.", size=7.5, colour=_QUIET)


def _first_lines(text: str, lines: int, *, size: float) -> str:
    """As much of the text as fits in so many lines of the page's width."""
    wrapped: list[str] = []
    for paragraph in text.split("\n"):
        wrapped += simpleSplit(paragraph, BODY, size, _INNER - 16) or [""]
    if len(wrapped) <= lines:
        return text
    return "\n".join([*wrapped[: lines - 1], f"{wrapped[lines - 1]} …"]) if lines else ""


def _read(storage: Storage, name: str) -> bytes:
    if not name:
        return b""
    try:
        with storage.open(name) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return b""
