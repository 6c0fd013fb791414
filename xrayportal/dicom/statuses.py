"""The C-STORE status that each outcome gets; docs/dicom.md lists them for the people who run an archive."""

from __future__ import annotations

from xrayportal.intake.quotas import QuotaExceededError
from xrayportal.studies.models import Upload

SUCCESS = 0x0000
#: A fault of the portal's own: its log has it.
PROCESSING_FAILURE = 0x0110
#: Something here is full or away: the sender keeps the object and tries again later.
OUT_OF_RESOURCES = 0xA700
#: Of the same kind (A7xx): a limit of the clinic or of the sender is reached for now.
OVER_QUOTA = 0xA701
#: The object is of a storage class that holds radiographs, and is none.
NOT_A_RADIOGRAPH = 0xA900
#: The file contradicts itself, or ends early, or holds no picture.
CANNOT_UNDERSTAND = 0xC000

#: By the kind of `intake.rejection`.
_BY_KIND = {
    "not-a-projection": NOT_A_RADIOGRAPH,
    "multi-frame": 0xC010,
    "unsupported-encoding": 0xC011,
    "too-large": 0xC012,
    "too-many-pixels": 0xC012,
}


def status_of(upload: Upload) -> int:
    """The status of a file that was stored, was here already, or was not taken."""
    if upload.outcome == Upload.Outcome.REJECTED:
        return _BY_KIND.get(upload.kind, CANNOT_UNDERSTAND)
    return SUCCESS


def status_of_error(error: Exception) -> int:
    """The status of a file that could not be stored now; the sender keeps it and tries again later."""
    return OVER_QUOTA if isinstance(error, QuotaExceededError) else OUT_OF_RESOURCES


def comment_of(status: int) -> str:
    """A comment for the sender's log, at most 64 characters (0000,0902)."""
    return _COMMENTS.get(status, "")


_COMMENTS = {
    PROCESSING_FAILURE: "The portal failed to process it; its log tells why",
    OUT_OF_RESOURCES: "The portal cannot store it now; send it again later",
    OVER_QUOTA: "A limit on files is reached; send it again later",
    NOT_A_RADIOGRAPH: "Not a projection radiograph",
    CANNOT_UNDERSTAND: "The file is damaged or holds no picture",
    0xC010: "It holds several pictures; send each as one object",
    0xC011: "Its compression cannot be decoded here",
    0xC012: "It is larger than the portal takes",
}
