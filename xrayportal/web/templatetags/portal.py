"""Template tags of all pages: icons, times, and partials that need a little arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.forms import BoundField
from django.http import QueryDict
from django.template import Context
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from xrayportal import security
from xrayportal.analyses.models import Analysis, Verdict
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.studies.models import Grouping
from xrayportal.web.shared.failures import failure_from_values, failure_of, rejection_sentence
from xrayportal.web.shared.sidebar import SETTINGS_PAGES, SIDEBAR
from xrayportal.web.shared.status import Status, status_of
from xrayportal.web.submissions import lists as submission_lists
from xrayportal.web.submissions.upload_words import upload_words
from xrayportal.web.worklist.study_row import Result
from xrayportal.words import figures, verdicts
from xrayportal.worklist.counts import count_words, tab_counts

register = template.Library()

register.filter("body_part_word", verdicts.body_part_word)
register.filter("outcome", outcome_of)
register.filter("size_words", figures.size_words)
register.filter("failure", failure_of)
register.filter("failure_from_values", failure_from_values)
register.filter("rejection", rejection_sentence)


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """An icon of the vendored sprite, hidden from screen readers because words stand beside it."""
    return _icon(static("vendor/lucide/sprite.svg"), name, classes)


@cache
def _icon(sprite: str, name: str, classes: str) -> SafeString:
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>', classes, sprite, name
    )


@register.simple_tag
def fixed_part(template_name: str) -> SafeString:
    """A fragment that is the same on every page and for everybody: rendered once for each language."""
    return _fixed_part(template_name, get_language() or "")


@cache
def _fixed_part(template_name: str, language: str) -> SafeString:
    return render_to_string(template_name)


@register.simple_tag
def options(choices: Iterable[tuple[str, str]], selected: str = "") -> SafeString:
    """The options of a select: pairs of value and word."""
    return _options(tuple((value, str(word)) for value, word in choices), selected)


@lru_cache(maxsize=200)
def _options(choices: tuple[tuple[str, str], ...], selected: str) -> SafeString:
    return format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        ((value, _SELECTED if value == selected else "", word) for value, word in choices),
    )


_SELECTED = mark_safe(" selected")


@register.filter("json")
def as_json(value: object) -> str:
    """A value of a row as JSON, for an attribute that a script reads."""
    return json.dumps(value, separators=(",", ":"))


@register.filter
def with_hint(field: BoundField, hint: str) -> SafeString:
    """The field's control, which refers screen readers to its hint (``ID_hint``) and its errors."""
    ids = [f"{field.auto_id}_hint"] if hint else []
    ids += [f"{field.auto_id}_error"] if field.errors else []
    return field.as_widget(attrs={"aria-describedby": " ".join(ids)} if ids else {})


@register.simple_tag(takes_context=True)
def page_address(context: Context) -> str:
    """The address of this page, to come back to."""
    return security.page_address(context["request"])


@register.simple_tag
def when(at: datetime | None, age: str = "") -> SafeString | str:
    """How long ago a moment was, with the absolute moment on hover; ``age`` replaces the words."""
    if at is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(timespec="seconds"),
        figures.absolute(at),
        age or figures.ago(at),
    )


@register.filter
def absolute(at: datetime) -> str:
    """The moment itself, where a list must say it exactly."""
    return figures.absolute(at)


@register.simple_tag
def verdict(manifest: Mapping[str, Any], code: str) -> SafeString:
    """The chip of a verdict or of an outcome (``analyses.outcomes``): icon and word."""
    return _chip(code, verdicts.verdict_word(manifest, code))


@register.simple_tag
def chip(code: str, word: str) -> SafeString:
    """The chip of an outcome whose word is known."""
    return _chip(code, word)


@register.simple_tag
def prediction(analysis: Analysis, size: str = "") -> SafeString:
    """The chip of a result: icon, word with its leaning, and the probability unless it is large."""
    code = outcome_of(analysis)
    word = verdicts.verdict_word(analysis.bundle.manifest, code)
    return _chip(code, word, "" if size else _beside(analysis)[0], size)


@lru_cache(maxsize=1000)
def _chip(code: str, word: str, figure: str = "", size: str = "") -> SafeString:
    """Lists and pages show the same few again and again."""
    context = {"code": code, "word": word, "figure": figure, "size": size}
    return render_to_string("partials/_verdict.html", context)


@register.filter
def tone(code: str) -> str:
    """The colour of an outcome: that of its verdict; a result that says nothing has that of unsupported."""
    return verdicts.TONES.get(code, code)


@register.inclusion_tag("partials/_probability.html")
def probability(analysis: Analysis | Result, size: str = "") -> dict[str, Any]:
    """The bar of a probability with both thresholds on it and the number beside it; a large one has words."""
    value = analysis.probability or 0.0
    figure, low, high = _beside(analysis)
    # The row of a list has no place for words.
    manifest = analysis.bundle.manifest if isinstance(analysis, Analysis) else None
    return {
        "code": outcome_of(analysis) if isinstance(analysis, Analysis) else analysis.outcome,
        "size": size,
        "figure": figure,
        "low": low,
        "high": high,
        "uncertain": verdicts.verdict_word(manifest, Verdict.UNCERTAIN) if manifest else "",
        "abnormal": verdicts.verdict_word(manifest, Verdict.ABNORMAL) if manifest else "",
        "by_clinic": analysis.thresholds_by_clinic,
        # SVG attributes take a point as the decimal mark in every language.
        "value_x": f"{100 * value:.1f}",
        "low_x": f"{100 * analysis.threshold_low:.1f}",
        "high_x": f"{100 * analysis.threshold_high:.1f}",
    }


def _beside(analysis: Analysis | Result) -> list[str]:
    return figures.format_beside(analysis.probability, analysis.threshold_low, analysis.threshold_high)


@register.simple_tag
def submission_name(folder: str, first_file: str, files: int) -> str:
    """What a submission is called, by its folder or its files."""
    return submission_lists.named(folder, first_file, files)


@register.inclusion_tag("partials/_status.html")
def status(state: str | Status | None) -> dict[str, Status]:
    """A dot with words, from the state of an analysis or from a ``Status``."""
    return {"status": state if isinstance(state, Status) else status_of(state)}


@dataclass(frozen=True)
class SidebarItem:
    """One link of the sidebar."""

    href: str
    word: str
    icon: str
    is_current: bool
    #: Disagreements that wait, in figures; empty for other links.
    count: str = ""


@register.simple_tag(takes_context=True)
def sidebar_items(context: template.Context) -> list[SidebarItem]:
    """The links of the sidebar that the person has the permission for; the current one is marked."""
    access, here = context["access"], _here(context)
    return [
        SidebarItem(
            reverse(entry.name, args=[access.clinic.slug]),
            str(entry.word),
            entry.icon,
            here in entry.covers,
            count_words(tab_counts(access)["disagreements"]) if entry.name == "disagreements" else "",
        )
        for entry in SIDEBAR
        if access.may(entry.permission)
    ]


@register.simple_tag(takes_context=True)
def settings_items(context: template.Context) -> list[SidebarItem]:
    """The links to all pages of the clinic's settings, the same on each; the current one is marked."""
    slug, here = context["access"].clinic.slug, _here(context)
    return [
        SidebarItem(reverse(page.name, args=[slug]), str(page.word), page.icon, here in page.covers)
        for page in SETTINGS_PAGES
    ]


def _here(context: template.Context) -> str:
    """The name of the present page's address; empty where it has none."""
    match = context["request"].resolver_match
    return (match.url_name or "") if match else ""


@register.inclusion_tag("submissions/_uploader.html", takes_context=True)
def uploader(context: template.Context) -> dict[str, Any]:
    """The drop zone with its list of files; ``uploader.js`` takes it over where scripts run."""
    bundle = context["active_bundle"]
    body_parts = tuple(bundle.body_parts) if bundle else ()
    return {
        "access": context["access"],
        "csrf_token": context["csrf_token"],
        "limit": settings.UPLOAD_MAX_BYTES,
        "archive": json.dumps(
            {"maxFiles": settings.ARCHIVE_MAX_FILES, "maxBytes": settings.ARCHIVE_MAX_BYTES}
        ),
        "inside": _uploader_inside(body_parts, settings.UPLOAD_MAX_BYTES // 2**20, get_language() or ""),
    }


@lru_cache(maxsize=16)
def _uploader_inside(body_parts: tuple[str, ...], limit_mb: int, language: str) -> SafeString:
    """What is the same for everybody while one bundle is active."""
    return render_to_string(
        "submissions/_uploader_inside.html",
        {
            "limit_mb": limit_mb,
            "groupings": Grouping.choices,
            "body_parts": [(label, verdicts.body_part_word(label)) for label in body_parts],
            "words": upload_words(),
        },
    )


@register.simple_tag
def viewer_part(part: str, figure: str, link: str = "", heat: str = "") -> SafeString:
    """The viewer's ``bar`` or ``readout``: the same for every picture, so rendered once for each language."""
    return _viewer_part(part, figure, link, heat, get_language() or "")


@cache
def _viewer_part(part: str, figure: str, link: str, heat: str, language: str) -> SafeString:
    return render_to_string(f"study/viewer/_{part}.html", {"id": figure, "link": link, "heat": heat})


@register.simple_tag
def query_with(query: QueryDict, **changes: Any) -> str:
    """The query of the address with some values changed; an empty value removes its key."""
    changed = query.copy()
    for name, value in changes.items():
        if value in ("", None):
            changed.pop(name, None)
        else:
            changed[name] = str(value)
    return f"?{changed.urlencode()}"
