"""Why something could not be read, in the language of whoever looks.

What is stored is one English sentence, which knows most (sizes, counts), and a kind. In English the sentence
is shown; another language has a sentence of its own for each kind, with the same file's name in it. What is
not known by its kind is shown as it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.models.functions import JSONObject
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from xrayportal.analyses.models import Analysis
from xrayportal.intake.bulk.archives import refusal
from xrayportal.intake.rejection import GENERAL, general
from xrayportal.studies.models import Upload

#: What ``failure_told`` needs of an analysis, for a subquery.
FAILURE = JSONObject(kind="error_kind", sentence="error_sentence", unreadable="unreadable")
#: How the kinds of ``intake.bulk.archives.refusal`` begin.
OF_ARCHIVES = ("archive-", "member-")
#: Kinds that are no file's fault.
WITHOUT_FILE = {
    "worker_died": _("The worker process died several times on this file."),
    "too_slow": _("Analysing this study took too long."),
    "storage": _("The file storage could not be reached for a long time."),
    "bundle": _("The worker could not load the model version."),
    "unexpected": _("Analysing this study failed several times for an unknown reason."),
}


def rejection_sentence(upload: Upload) -> str:
    """Why a file was not taken, or what was read of it."""
    if upload.outcome != Upload.Outcome.REJECTED or _is_stored_language():
        return upload.sentence
    if upload.kind.startswith(OF_ARCHIVES):
        return refusal(upload.kind).sentence(upload.filename)
    return _of_file(upload.kind, upload.filename) or upload.sentence


def failure_of(analysis: Analysis) -> str:
    """Why this analysis failed; empty unless it did."""
    return _failure(analysis.error_kind, analysis.error_sentence, analysis.unreadable)


def failure_told(told: Mapping[str, Any] | None) -> str:
    """The same for what ``FAILURE`` fetched; nothing for nothing."""
    return _failure(**told) if told else ""


def unreadable_sentence(view: Mapping[str, str]) -> str:
    """Why one view of an analysis could not be read: a row of its ``unreadable``."""
    # Results of the first versions name the file in the sentence only.
    if _is_stored_language() or "file" not in view:
        return view["sentence"]
    return _of_file(view["kind"], view["file"]) or view["sentence"]


def _failure(kind: str, sentence: str, unreadable: Sequence[Mapping[str, str]]) -> str:
    if _is_stored_language() or not sentence:
        return sentence
    if unreadable:
        return " ".join(unreadable_sentence(view) for view in unreadable)
    return str(WITHOUT_FILE.get(kind, "")) or _of_file(kind, gettext("The file")) or sentence


def _of_file(kind: str, filename: str) -> str:
    """The worker writes kinds with low lines, the portal with hyphens."""
    kind = kind.replace("_", "-")
    return general(kind).sentence(filename) if kind in GENERAL else ""


def _is_stored_language() -> bool:
    return (get_language() or "").partition("-")[0] == settings.LANGUAGE_CODE.partition("-")[0]
