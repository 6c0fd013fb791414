"""Media types, from a file's first bytes and never from its name or the browser's word for it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from inference_worker.sniff import Format, describe, is_encrypted, sniff
from xrayportal.intake.rejection import RejectedError, general

DICOM = "application/dicom"
MEDIA_TYPES: dict[Format, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "tiff": "image/tiff",
    "dicom": DICOM,
}
#: Suffix of a downloaded original's name.
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/tiff": ".tif", DICOM: ".dcm"}


def media_type_of(head: bytes) -> str:
    """The media type of a file that begins with ``head``; ``RejectedError`` for any that is not taken.

    Imports no decoder.
    """
    if not head:
        raise general("empty")
    name = sniff(head)
    if name is not None:
        return MEDIA_TYPES[name]
    if is_encrypted(head):
        raise general("encrypted")
    raise RejectedError(
        "not-a-picture",
        _("it is %(what)s, not a picture") % {"what": describe(head)},
        general("not-a-picture").advice,
    )
