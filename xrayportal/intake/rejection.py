"""The reason that a file was not taken: a kind for statistics and a sentence for people."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_AGAIN = gettext_lazy("Export it again from the source.")
#: Reason and advice by kind, for any such file.
GENERAL: dict[str, tuple[Promise, Promise]] = {
    "empty": (gettext_lazy("the file is empty"), _AGAIN),
    "encrypted": (gettext_lazy("the file is encrypted"), gettext_lazy("Send it without encryption.")),
    "truncated": (gettext_lazy("the file ends before its pixels"), _AGAIN),
    "corrupt": (gettext_lazy("the file is damaged"), _AGAIN),
    "not-a-picture": (
        gettext_lazy("it is not a picture that is taken here"),
        gettext_lazy("Send PNG, JPEG, TIFF or DICOM files."),
    ),
    "not-a-projection": (
        gettext_lazy("it is not a projection radiograph"),
        gettext_lazy("Send plain X-rays (CR, DX or similar)."),
    ),
    "no-pixels": (
        gettext_lazy("the DICOM file holds no picture"),
        gettext_lazy("Send the study's image files."),
    ),
    "multi-frame": (
        gettext_lazy("it holds several pictures"),
        gettext_lazy("Send each radiograph as a file of its own."),
    ),
    "unsupported-encoding": (
        gettext_lazy("its pixels are compressed in a way that cannot be decoded here"),
        gettext_lazy("Export it again, uncompressed if possible."),
    ),
    "too-large": (
        gettext_lazy("it is larger than what is taken"),
        gettext_lazy("Export the picture in a smaller size."),
    ),
    "too-many-pixels": (
        gettext_lazy("the picture has more pixels than are taken"),
        gettext_lazy("Export it in a smaller size."),
    ),
    "too-slow": (
        gettext_lazy("decoding it takes too long"),
        gettext_lazy("Export it again as ordinary DICOM, PNG or JPEG."),
    ),
    "too-much-memory": (
        gettext_lazy("decoding it takes more memory than allowed"),
        gettext_lazy("Export it again as ordinary DICOM, PNG or JPEG."),
    ),
}


class RejectedError(Exception):
    """A file that is not stored. ``reason`` follows a colon; ``advice`` is a whole sentence."""

    def __init__(self, kind: str, reason: str, advice: str = "") -> None:
        super().__init__(kind)  # the kind only: the reason may quote the file
        self.kind = kind
        self.reason = reason
        self.advice = advice or str(_AGAIN)

    def sentence(self, filename: str) -> str:
        """The sentence for people, with the file's name."""
        return _("Could not read %(file)s: %(reason)s. %(advice)s") % {
            "file": filename,
            "reason": self.reason,
            "advice": self.advice,
        }


def as_stored() -> AbstractContextManager[None]:
    """Write rejections in the language that is stored, inside the ``with`` block; pages translate by kind."""
    return translation.override(settings.LANGUAGE_CODE)


def general(kind: str) -> RejectedError:
    """The rejection of ``GENERAL`` for this kind, in the current language."""
    reason, advice = GENERAL[kind]
    return RejectedError(kind, str(reason), str(advice))


def truncated() -> RejectedError:
    """The rejection of a file that ends before its pixels do."""
    return general("truncated")


def corrupt() -> RejectedError:
    """The rejection of a file that contradicts itself."""
    return general("corrupt")


def too_large() -> RejectedError:
    """The rejection of a file with more bytes than ``UPLOAD_MAX_BYTES``."""
    megabytes = settings.UPLOAD_MAX_BYTES / 2**20
    return RejectedError(
        "too-large",
        _("it is larger than %(limit)s MB")
        % {"limit": f"{megabytes:.0f}" if megabytes >= 1 else f"{megabytes:.2g}"},
        str(GENERAL["too-large"][1]),
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
            str(GENERAL["too-many-pixels"][1]),
        )
