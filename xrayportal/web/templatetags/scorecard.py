"""The template tag of the scorecard's charts."""

from __future__ import annotations

from collections.abc import Sequence

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from xrayportal.reviews.scorecard.charts import Row

register = template.Library()

_ROW = '<tr><th scope="row">{}</th>' + 4 * '<td class="number">{}</td>' + "</tr>"


@register.simple_tag
def week_rows(rows: Sequence[Row]) -> SafeString:
    """The rows of a chart's table: hundreds on a page, which a loop in the template would take long over."""
    return format_html_join("", _ROW, ((row.label, row.value, row.low, row.high, row.n) for row in rows))
