"""The notes on how a picture was made visible (`inference_worker.notes`), as sentences for people."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from inference_worker import notes

SENTENCES = {
    notes.WINDOW_UNUSABLE: _("The file's window is no pair of usable numbers and was left out."),
    notes.RESCALE_UNUSABLE: _(
        "The file's rescale slope and intercept are no usable numbers; they and the window were left out."
    ),
    notes.LUT_UNUSABLE: _("A look-up table of the file cannot be used and was left out."),
    notes.WINDOW_MISSES: _(
        "The file's window or look-up table shows next to nothing of this picture; "
        "another one or its own range of values is shown."
    ),
    notes.RESAMPLED: _("The file's pixels are not square; the picture was resampled."),
}


def note_sentences(codes: Iterable[str]) -> list[str]:
    """One sentence for each code; a code of another version is shown as it is."""
    return [str(SENTENCES.get(code, code)) for code in codes]
