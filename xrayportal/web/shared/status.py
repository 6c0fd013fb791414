"""The status of a study: a dot with words."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext, gettext_lazy

from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue.waiting import Waiting
from xrayportal.words.figures import format_duration, ordinal

State = Analysis.State

#: The words for a state, where no place in the line is known.
WORDS = {
    "": gettext_lazy("Receiving images"),
    State.QUEUED: gettext_lazy("Waiting"),
    State.RUNNING: gettext_lazy("Analysing"),
    State.SUCCEEDED: gettext_lazy("Done"),
    State.FAILED: gettext_lazy("Analysis failed"),
    State.CANCELLED: gettext_lazy("Cancelled"),
}
TONES = {
    "": "waiting",
    State.QUEUED: "waiting",
    State.RUNNING: "running",
    State.SUCCEEDED: "done",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
#: Where a reader's own work on a study with a result stands.
READER_WORDS = {
    "unread": gettext_lazy("Unread"),
    "opened": gettext_lazy("Opened"),
    "draft": gettext_lazy("Draft"),
    "signed": gettext_lazy("Signed"),
    "disagreed": gettext_lazy("Readers disagree"),
}


@dataclass(frozen=True)
class Status:
    """``tone`` chooses the dot (class names after ``status-``), ``words`` stand beside it."""

    tone: str
    words: str


def status_of(state: str | None) -> Status:
    """The status of a study from the state of its newest analysis; None or empty before there is one."""
    code = state or ""
    return Status(TONES[code], str(WORDS[code]))


def reader_status(code: str) -> Status:
    """The status of a study with a result for one of its readers; ``code`` is one of ``READER_WORDS``."""
    return Status(f"done status-{code}", str(READER_WORDS[code]))


def waiting_status(waiting: Waiting) -> Status:
    """``Waiting, 3rd in line, about 20 s``; without a time where nothing is known to judge by."""
    if not waiting.has_worker:
        words = gettext("Waiting, %(place)s in the queue; no worker is running") % {
            "place": ordinal(waiting.position)
        }
    elif waiting.is_held_up:
        words = gettext("Waiting, %(place)s in the queue; the study before it takes unusually long") % {
            "place": ordinal(waiting.position)
        }
    elif waiting.seconds is None:
        words = gettext("Waiting, %(place)s in the queue") % {"place": ordinal(waiting.position)}
    else:
        words = gettext("Waiting, %(place)s in the queue, about %(span)s") % {
            "place": ordinal(waiting.position),
            "span": format_duration(waiting.seconds),
        }
    return Status("waiting", words)
