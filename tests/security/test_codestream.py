"""A JPEG 2000 header of fifty bytes that would have the decoder allocate terabytes."""

from __future__ import annotations

import struct

import pytest
from pydicom.uid import JPEG2000

from inference_worker import codestream
from inference_worker.types import UnreadableError


@pytest.mark.parametrize(("components", "kind"), [(16384, "corrupt"), (5, "corrupt"), (1, "truncated")])
def test_channels_are_counted_before_they_are_allocated(components: int, kind: str) -> None:
    size = struct.pack(">HHIIIIIIIIH", 38 + 3 * components, 0, 8000, 8000, 0, 0, 8000, 8000, 0, 0, components)
    frame = b"\xff\x4f\xff\x51" + size + b"\x07\x01\x01" * components
    with pytest.raises(UnreadableError) as caught:
        codestream.check(frame, JPEG2000, 8000, 8000)
    assert caught.value.kind == kind
