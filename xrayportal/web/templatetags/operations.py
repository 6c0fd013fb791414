"""Template filters of the operations page."""

from __future__ import annotations

import uuid

from django import template
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from xrayportal.words.figures import format_duration, size_words

register = template.Library()

STAGE_WORDS: dict[str, Promise] = {
    "decode": gettext_lazy("Decode"),
    "preprocess": gettext_lazy("Preprocess"),
    "infer": gettext_lazy("Forward pass"),
    "render": gettext_lazy("Render"),
    "wait": gettext_lazy("Waiting"),
    "total": gettext_lazy("From request to result"),
}


@register.filter
def stage_word(stage: str) -> str:
    """A stage of ``inference_worker.types.STAGES``, ``wait`` or ``total``."""
    return str(STAGE_WORDS[stage])


@register.filter
def duration(milliseconds: float) -> str:
    """``8.4 ms``, ``740 ms``, ``1.2 s``, ``3 min``."""
    if milliseconds >= 60_000:
        return format_duration(milliseconds / 1000)
    if milliseconds >= 1000:
        return _("%s s") % number_format(round(milliseconds / 1000, 1), decimal_pos=1)
    places = 1 if milliseconds < 100 else 0
    return _("%s ms") % number_format(round(milliseconds, places), decimal_pos=places)


@register.filter
def size(count: int | None) -> str:
    """A number of bytes for people; None is 0."""
    count = count or 0
    if count >= 1_000_000_000:
        return _("%s GB") % number_format(round(count / 1e9, 1), decimal_pos=1)
    return size_words(count)


@register.filter
def short_id(value: uuid.UUID) -> str:
    """The first eight digits of an id: enough to tell rows apart."""
    return str(value)[:8]
