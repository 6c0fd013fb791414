"""The printed report: one A4 page about a study's current result and its reviews."""

from xrayportal.reviews.report.facts import Facts, facts_of
from xrayportal.reviews.report.page import render_report

__all__ = ["Facts", "facts_of", "render_report"]
