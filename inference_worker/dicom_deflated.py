"""DICOM whose data set is deflated (PS3.5, A.5), unpacked within a limit: pydicom unpacks without one.

For the intake and the decoder. Imports no decoder.
"""

from __future__ import annotations

import zlib
from io import BytesIO

from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from inference_worker.sniff import has_preamble
from inference_worker.types import UnreadableError


def inflated(data: bytes, most: int) -> bytes:
    """The same file with its data set unpacked to ``most`` bytes at most; any other file as it is.

    Raises `UnreadableError` (``too_large``, ``truncated``, ``corrupt``), and what pydicom raises of a damaged
    meta group.
    """
    if not has_preamble(data):
        return data
    stream = BytesIO(data)
    read_preamble(stream, force=False)
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: bool(tag.group != 2),
    )
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return data
    start = stream.tell()
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(data[start:], most)
    except zlib.error as error:
        raise UnreadableError(
            "corrupt", "The DICOM file's deflated data set is damaged; send it again from its source."
        ) from error
    if unpacker.unconsumed_tail:
        raise UnreadableError(
            "too_large",
            f"The DICOM file unpacks to more than the {most / 2**20:,.0f} MiB allowed; "
            "export the picture in a smaller size.",
        )
    if not unpacker.eof:
        raise UnreadableError(
            "truncated", "The DICOM file ends before its picture does; send it again from its source."
        )
    padded = ExplicitVRLittleEndian.encode().ljust(len(DeflatedExplicitVRLittleEndian), b"\x00")
    return data[:start].replace(DeflatedExplicitVRLittleEndian.encode(), padded) + unpacked
