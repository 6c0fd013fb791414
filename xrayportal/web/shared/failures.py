"""The reason why a file was rejected or an analysis failed, in the reader's language.

Stored are a kind and an English sentence with the details (sizes, counts). In English the stored sentence is
shown; another language has one sentence for each kind, with the file's name in it. Where a kind has none,
the stored sentence is shown.
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

#: The values of an analysis that ``failure_from_values`` needs, for a subquery.
FAILURE = JSONObject(kind="error_kind", sentence="error_sentence", unreadable="unreadable")
#: How the kinds of ``intake.bulk.archives.refusal`` begin.
OF_ARCHIVES = ("archive-", "member-")
#: The sentences of kinds that are not about a file.
WITHOUT_FILE = {
    "worker_died": _("The worker process died several times on this file."),
    "too_slow": _("Analysing this study took too long."),
    "out_of_memory": _("Analysing this study takes more memory than its worker has."),
    "storage": _("The file storage could not be reached for a long time."),
    "bundle": _("The worker could not load the model version."),
    "unexpected": _("Analysing this study failed several times for an unknown reason."),
}


def rejection_sentence(upload: Upload) -> str:
    """The sentence about an upload: why it was rejected, or what was taken from an archive or a CSV."""
    if upload.outcome != Upload.Outcome.REJECTED or _is_stored_language():
        return upload.sentence
    if upload.kind.startswith(OF_ARCHIVES):
        return refusal(upload.kind).sentence(upload.filename)
    return _of_file(upload.kind, upload.filename) or upload.sentence


def failure_of(analysis: Analysis) -> str:
    """The sentence why an analysis failed; empty unless it did."""
    return _failure(analysis.error_kind, analysis.error_sentence, analysis.unreadable)


def failure_from_values(values: Mapping[str, Any] | None) -> str:
    """``failure_of`` for the values that ``FAILURE`` fetched; empty for None."""
    return _failure(**values) if values else ""


def unreadable_sentence(view: Mapping[str, str]) -> str:
    """The sentence why a view could not be read; ``view`` is an element of ``Analysis.unreadable``."""
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
    # The worker writes kinds with underscores, the portal with hyphens.
    kind = kind.replace("_", "-")
    return general(kind).sentence(filename) if kind in GENERAL else ""


def _is_stored_language() -> bool:
    return (get_language() or "").partition("-")[0] == settings.LANGUAGE_CODE.partition("-")[0]
