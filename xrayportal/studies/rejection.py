"""Why a file was not taken: a kind for statistics and a sentence for people."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _


class RejectedError(Exception):
    """A file that is not stored. ``reason`` follows a colon; ``advice`` is a whole sentence."""

    def __init__(self, kind: str, reason: str, advice: str = "") -> None:
        super().__init__(kind)  # the kind only: the reason may quote what the file says
        self.kind = kind
        self.reason = reason
        self.advice = advice or _("Export it again from the source.")

    def sentence(self, filename: str) -> str:
        """What the person reads, naming the file."""
        return _("Could not read %(file)s: %(reason)s. %(advice)s") % {
            "file": filename,
            "reason": self.reason,
            "advice": self.advice,
        }


def truncated() -> RejectedError:
    """The file stops before its picture does."""
    return RejectedError("truncated", _("the file ends before its pixels"))


def corrupt() -> RejectedError:
    """The file contradicts itself."""
    return RejectedError("corrupt", _("the file is damaged"))


def too_large() -> RejectedError:
    """More bytes than a file may have."""
    megabytes = settings.UPLOAD_MAX_BYTES / 2**20
    return RejectedError(
        "too-large",
        _("it is larger than %(limit)s MB")
        % {"limit": f"{megabytes:.0f}" if megabytes >= 1 else f"{megabytes:.2g}"},
        _("Export the picture in a smaller size."),
    )


def check_dimensions(width: int, height: int) -> None:
    """Raise ``RejectedError`` for a picture without area or with more pixels than are taken."""
    if width < 1 or height < 1:
        raise corrupt()
    if width * height > settings.UPLOAD_MAX_PIXELS:
        size = f"{width:,} × {height:,}"  # noqa: RUF001  a size is written with a multiplication sign
        raise RejectedError(
            "too-many-pixels",
            _("the picture has %(size)s pixels, more than the %(limit)d million allowed")
            % {"size": size, "limit": settings.UPLOAD_MAX_PIXELS // 1_000_000},
            _("Export it in a smaller size."),
        )
