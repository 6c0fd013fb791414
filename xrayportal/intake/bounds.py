"""Reading a DICOM header at a cost that goes with its size.

The reader makes objects of a hundred times an element's bytes: a megabyte of empty items would cost it
160 MB.
"""

from __future__ import annotations

from collections.abc import Container
from io import BytesIO

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from xrayportal.intake.rejection import corrupt

#: An ordinary radiograph has some hundred elements and a few short tables.
_MOST_READS = 50_000
_MOST_ITEMS = 1000
_LONGEST_VALUE = 64 * 1024
#: A handful of numbers or words; written in letters, each becomes an object of a hundred bytes.
_LONGEST_FEW = 4096
#: Three tables of 65,536 entries fit.
_LONGEST_TABLE = 512 * 1024
_ITEM_MARKS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # (FFFE,E000) in either byte order
_PIXELS = 0x7FE00010


class Watched(BytesIO):
    """Remembers whether somebody wanted more than there was: the file then ends inside an element.

    Every element and item takes a read, so it also sees a file of far too many of them.
    """

    ends_early = False
    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MOST_READS:
            raise corrupt()
        found = super().read(size)
        if size and size > 0 and 0 < len(found) < size:
            self.ends_early = True
        return found

    def seek(self, offset: int, whence: int = 0, /) -> int:
        place = super().seek(offset, whence)
        if place > self.getbuffer().nbytes:
            self.ends_early = True
        return place


def refuse_swollen(dataset: Dataset, *, few: Container[int], tables: Container[int]) -> None:
    """Before values are converted: a window of 30 million numbers, a table of a million items.

    ``few`` are the tags of a handful of values, ``tables`` those that may be longer than others. Raises
    ``RejectedError``.
    """
    for tag in dataset.keys():  # noqa: SIM118  iterating over the data set itself converts its values
        element = dataset.get_item(tag)
        if not isinstance(element, RawDataElement):
            for item in element.value if element is not None and element.VR == "SQ" else ():
                refuse_swollen(item, few=few, tables=tables)
            continue
        value = element.value or b""
        longest = _LONGEST_TABLE if tag in tables else _LONGEST_FEW if tag in few else _LONGEST_VALUE
        is_pixels = tag == _PIXELS
        if not is_pixels and (len(value) > longest or sum(map(value.count, _ITEM_MARKS)) > _MOST_ITEMS):
            raise corrupt()
