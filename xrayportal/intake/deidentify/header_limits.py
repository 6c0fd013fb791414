"""Bounds on what a DICOM header may cost: pydicom makes objects of a hundred times an element's bytes.

A megabyte of empty items would take 160 MB.
"""

from __future__ import annotations

from collections.abc import Container
from io import BytesIO

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from inference_worker.dicom_numbers import LONGEST_VALUE
from xrayportal.intake.rejection import corrupt

#: An ordinary radiograph has some hundred elements and a few short LUTs; each takes pydicom a call.
_MOST_CALLS = 50_000
_MOST_ITEMS = 1000
_LONGEST_VALUE = 64 * 1024
#: Three LUTs of 65,536 entries fit.
_LONGEST_LUT = 512 * 1024
_ITEM_MARKS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # (FFFE,E000) in either byte order
_PIXELS = (0x7FE00010, 0x7FE00008, 0x7FE00009)


class BoundedStream(BytesIO):
    """A file's bytes. ``ends_early`` is set when pydicom asks for more than there is, inside an element.

    Raises ``RejectedError`` for a file of far too many elements and items: each takes a call.
    """

    ends_early = False
    calls = 0

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise corrupt()
        data = super().read(size)
        if size and size > 0 and 0 < len(data) < size:
            self.ends_early = True
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        place = super().seek(offset, whence)
        if place > self._size:
            self.ends_early = True
        return place


def blank_oversized(dataset: Dataset, tags: Container[int]) -> None:
    """Replace values of these tags that are far too long by one that is no number and no word, in place.

    They then count as the decoder counts them: as unusable.
    """
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if tag in tags and isinstance(element, RawDataElement) and len(element.value or b"") > LONGEST_VALUE:
            dataset[tag] = element._replace(VR="DS", length=1, value=b"?")


def refuse_oversized(dataset: Dataset, *, short: Container[int], luts: Container[int]) -> None:
    """Refuse values that are too long before pydicom converts them, such as a window of 30 million numbers.

    ``short`` are the tags of a handful of values, ``luts`` those that may be longer than others. Raises
    ``RejectedError``.
    """
    for tag in dataset.keys():  # noqa: SIM118  iterating over the data set itself converts its values
        element = dataset.get_item(tag)
        if not isinstance(element, RawDataElement):
            for item in element.value if element is not None and element.VR == "SQ" else ():
                refuse_oversized(item, short=short, luts=luts)
            continue
        value = element.value or b""
        longest = _LONGEST_LUT if tag in luts else LONGEST_VALUE if tag in short else _LONGEST_VALUE
        is_pixels = tag in _PIXELS
        if not is_pixels and (len(value) > longest or sum(map(value.count, _ITEM_MARKS)) > _MOST_ITEMS):
            raise corrupt()
