"""The sentences of the uploader: ``uploader.js`` has none of its own, so that they are translated here."""

from __future__ import annotations

from django.utils.translation import gettext


def upload_words() -> dict[str, str]:
    """Sentences by key; ``{name}`` and the like are filled in by the script."""
    return {
        "waiting": gettext("Waiting"),
        "sending": gettext("Sending, {percent} %"),
        "storing": gettext("Saving"),
        "accepted": gettext("Accepted"),
        "duplicate": gettext("Already here"),
        "applied": gettext("Applied"),
        "rejected": gettext("Rejected"),
        "not_sent": gettext("Not sent"),
        "again": gettext("No answer. Trying again in {seconds} s"),
        "unsent": gettext("{name} was not sent: the portal did not answer."),
        "refused": gettext("The portal refused {name} (code {code})."),
        "unreadable": gettext("The browser could not read {name}. It may have been moved or changed."),
        "progress": gettext("{done} of {total} files sent, {sent} of {size}"),
        "left": gettext("About {span} left"),
        "finishing": gettext("All files are sent. Opening the submission."),
        "paused": gettext("Paused. {done} of {total} files are sent."),
        "some_duplicate": gettext("{count} already here"),
        "some_rejected": gettext("{count} rejected"),
        "more_failures": gettext("{count} more: the submission's page lists them all."),
        "continued": gettext(
            "The submission was closed in the meantime, so the remaining files go into a new one. "
            "A folder that is split in this way stays one study, unless a reader has already signed it."
        ),
        "some_unsent": gettext("{count} files could not be sent."),
        "one_unsent": gettext("1 file could not be sent."),
        "signed_out": gettext("Your session has ended. Sign in again in another tab, then continue here."),
        "no_start": gettext("The portal did not answer, so nothing was sent. Try again."),
        "nothing": gettext("There are no images in what you dropped."),
        "pause": gettext("Pause"),
        "resume": gettext("Resume"),
        "seconds": gettext("{n} s"),
        "minutes": gettext("{n} min"),
    }
