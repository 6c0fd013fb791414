"""What is printed of a study: one A4 page about its result and its reviews, and single views with heatmap."""

from xrayportal.reviews.report.facts import Facts, facts_of
from xrayportal.reviews.report.page import render_report
from xrayportal.reviews.report.plate import caption_of, render_plate

__all__ = ["Facts", "caption_of", "facts_of", "render_plate", "render_report"]
