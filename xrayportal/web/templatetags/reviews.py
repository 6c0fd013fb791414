"""The template tag of the review panel."""

from __future__ import annotations

from django import template

from xrayportal.access import ClinicAccess
from xrayportal.studies.models import Study
from xrayportal.web.reviews.panel import Panel

register = template.Library()


@register.simple_tag
def review_panel(access: ClinicAccess, study: Study) -> Panel:
    """The state of the review panel, for ``reviews/_panel.html``."""
    return Panel(access, study)
