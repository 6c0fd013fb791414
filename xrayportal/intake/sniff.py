"""What a file is, from its first bytes and never from its name or what the browser calls it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from inference_worker import sniff
from xrayportal.intake.rejection import RejectedError, general

HEAD_BYTES = sniff.HEAD_BYTES
DICOM = "application/dicom"
MEDIA_TYPES: dict[sniff.Format, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "tiff": "image/tiff",
    "dicom": DICOM,
}
#: What a downloaded original is called after.
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/tiff": ".tif", DICOM: ".dcm"}


def media_type(head: bytes) -> str:
    """The media type of a file that starts like this; ``RejectedError`` for any that is not taken.

    Reads no pixels and imports no decoder.
    """
    if not head:
        raise general("empty")
    found = sniff.sniff(head)
    if found is not None:
        return MEDIA_TYPES[found]
    if sniff.is_encrypted(head):
        raise general("encrypted")
    raise RejectedError(
        "not-a-picture",
        _("it is %(what)s, not a picture") % {"what": sniff.describe(head)},
        general("not-a-picture").advice,
    )
