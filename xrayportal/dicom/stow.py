"""Reads the body of a STOW-RS request (PS3.18, 10.5) part by part, and answers as the standard says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.conf import settings
from pydicom.datadict import tag_for_keyword
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from xrayportal.dicom import statuses
from xrayportal.intake.deidentify.dicom import header_of
from xrayportal.intake.rejection import RejectedError

if TYPE_CHECKING:  # the library names it for type checkers only
    from python_multipart.multipart import MultipartCallbacks

DICOM, DICOM_JSON = "application/dicom", "application/dicom+json"
_IDENTITY = [tag_for_keyword(name) or 0 for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")]
_CLASS, _INSTANCE, _STUDY = (f"{tag:08X}" for tag in _IDENTITY)
_REASON, _STORED, _FAILED = "00081197", "00081199", "00081198"


#: Objects of one request: the answer names each, so it is kept in memory until the end.
MOST_OBJECTS = 10_000


class BadBodyError(Exception):
    """A body that is no multipart message, ends early or holds too much; ``status`` is 400, 413 or 415."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Part:
    """One object of a request. ``data`` is longer than ``UPLOAD_MAX_BYTES`` where it was cut off for that."""

    data: bytes
    media_type: str

    def identity(self) -> dict[str, str]:
        """Its class, instance and study UID by tag, as far as it has them."""
        try:
            header = header_of(self.data, _IDENTITY)
        except RejectedError:
            return {}
        return {f"{tag:08X}": str(header[tag].value) for tag in _IDENTITY if tag in header}


@dataclass
class Answer:
    """The outcome of every object: class and instance UID, and the status (0x0000 for stored)."""

    outcomes: list[tuple[dict[str, str], int]] = field(default_factory=list)
    #: In how many seconds to send again what could not be stored now.
    retry_after: int = 0

    @property
    def status(self) -> int:
        """The HTTP status: 200 all stored, 202 some, 503 or 429 none for now, 409 none."""
        failures = [status for _identity, status in self.outcomes if status != statuses.SUCCESS]
        if not failures:
            return 200
        if len(failures) < len(self.outcomes):
            return 202
        if statuses.OUT_OF_RESOURCES in failures:
            return 503
        return 429 if statuses.OVER_QUOTA in failures else 409

    def as_json(self) -> dict[str, Any]:
        """The Store Instances Response Module in DICOM's JSON."""
        stored = [_item(identity) for identity, status in self.outcomes if status == statuses.SUCCESS]
        failed = [_item(identity, status) for identity, status in self.outcomes if status != statuses.SUCCESS]
        sequences = {_STORED: stored, _FAILED: failed}
        return {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def read_parts(content_type: str, chunks: Iterable[bytes], take: Callable[[Part], None]) -> None:
    """Hand over each part as soon as it is complete; no more than one is in memory.

    Raises `BadBodyError` for a body of another kind, or one that ends early, after the parts before that.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/related" or options.get(b"type", DICOM.encode()) != DICOM.encode():
        raise BadBodyError('Send multipart/related with type="application/dicom".', 415)
    if not options.get(b"boundary"):
        raise BadBodyError("The Content-Type has no boundary.")
    reader = _Reader(take)
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        for chunk in chunks:
            parser.write(chunk)
    except FormParserError:
        raise BadBodyError("The body is not a multipart message.") from None
    if not reader.has_ended:
        raise BadBodyError("The body ends before its last boundary.")


class _Reader:
    """Collects the bytes of one part after another."""

    def __init__(self, take: Callable[[Part], None]) -> None:
        self._take = take
        self._data = bytearray()
        self._name, self._value, self._media_type = b"", b"", ""
        self._objects = 0
        self.has_ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._content,
            "on_header_end": self._end_header,
            "on_part_data": self._collect,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._objects += 1
        if self._objects > MOST_OBJECTS:
            raise BadBodyError(f"Send at most {MOST_OBJECTS} objects in one request; those are stored.", 413)
        self._data, self._media_type = bytearray(), ""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-type":
            self._media_type = parse_options_header(self._value)[0].decode("ascii", "replace")
        self._name = self._value = b""

    def _collect(self, data: bytes, start: int, end: int) -> None:
        # One byte more than is taken tells that it is too large.
        room = settings.UPLOAD_MAX_BYTES + 1 - len(self._data)
        self._data += memoryview(data)[start : min(end, start + max(room, 0))]

    def _end_part(self) -> None:
        data, self._data = bytes(self._data), bytearray()
        self._take(Part(data, self._media_type))

    def _end(self) -> None:
        self.has_ended = True


def _item(identity: dict[str, str], status: int | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {
        "00081150": {"vr": "UI", "Value": [identity.get(_CLASS, "")]},
        "00081155": {"vr": "UI", "Value": [identity.get(_INSTANCE, "")]},
    }
    if status is not None:
        item[_REASON] = {"vr": "US", "Value": [status]}
    return item


def is_of_study(identity: dict[str, str], study: str) -> bool:
    """Whether the object belongs to the study that the address names; every one does where it names none."""
    return not study or identity.get(_STUDY) == study
