"""The decoding child: the same pictures, and no file that holds, fills or ends the process that asks."""

from __future__ import annotations

import io
import os
import select
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from inference_worker.decode import decode, isolated
from inference_worker.decode.isolated import DecodeProcess
from inference_worker.decode.limits import Limits
from inference_worker.types import UnreadableError
from tests.inference_worker.drawing import encoded, radiograph, written

PICTURE = np.random.default_rng(0).integers(0, 256, (120, 90), np.uint8)


@pytest.fixture(scope="module")
def process() -> Iterator[DecodeProcess]:
    with DecodeProcess() as process:
        yield process


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[DecodeProcess]:
    """Its child does what a mark in the file says."""
    monkeypatch.setattr(isolated, "CHILD", "tests.inference_worker.strange_child")
    with DecodeProcess(Limits(seconds=0.5)) as process:
        yield process


def refused(process: DecodeProcess, data: bytes) -> str:
    """The kind of the refusal; a good picture must be decoded right after it."""
    with pytest.raises(UnreadableError) as caught:
        process.decode(data)
    process.limits = Limits()  # a test's own are for the file that is refused
    assert process.decode(encoded(PICTURE, "PNG")).pixels.shape == PICTURE.shape
    return caught.value.kind


@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF"])
def test_pictures_are_those_of_this_process(process: DecodeProcess, name: str) -> None:
    data = encoded(PICTURE, name)
    assert np.array_equal(process.decode(data).pixels, decode(data).pixels)


@pytest.mark.parametrize("name", ["RG3_J2KR.dcm", "RG3_UNCR.dcm", "SC_rgb_jpeg_gdcm.dcm"])
def test_dicom_too_with_its_facts(
    process: DecodeProcess, dicom_file: Callable[[str], Path], name: str
) -> None:
    data = dicom_file(name).read_bytes()
    here, there = decode(data), process.decode(data)
    assert np.array_equal(there.pixels, here.pixels)
    assert (there.spacing, there.notes, there.chroma) == (here.spacing, here.notes, here.chroma)


def test_a_refusal_comes_as_it_is(process: DecodeProcess) -> None:
    with pytest.raises(UnreadableError, match="ends before its last line") as caught:
        process.decode(encoded(PICTURE, "JPEG")[:2000])
    assert caught.value.kind == "truncated"
    assert refused(process, b"") == "empty"


@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        *((b"hang", "too_slow"), (b"spin", "too_slow"), (b"crash", "corrupt")),
        *((b"killed", "too_much_memory"), (b"swell", "too_much_memory"), (b"lie", "too_much_memory")),
    ],
)
def test_whatever_a_decoder_does_the_next_picture_is_decoded(
    strange: DecodeProcess, mark: bytes, kind: str
) -> None:
    assert refused(strange, encoded(PICTURE, "PNG") + mark) == kind


def test_a_child_that_was_killed_by_somebody_costs_no_picture(process: DecodeProcess) -> None:
    data = encoded(PICTURE, "PNG")
    process.decode(data)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.begin(data)
    os.kill(process.pid, signal.SIGKILL)
    assert process.result().radiograph.pixels.shape == PICTURE.shape


def test_time_in_which_the_worker_stood_still_does_not_count(
    process: DecodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, look, passed = isolated.monotonic, select.select, [0.0]

    def look_late(*arguments: Any) -> Any:
        if passed[0] == 0.0:
            passed[0] = 60.0
            return [], [], []
        return look(*arguments)

    monkeypatch.setattr(isolated, "monotonic", lambda: clock() + passed[0])
    monkeypatch.setattr(select, "select", look_late)
    assert process.decode(encoded(PICTURE, "PNG")).pixels.shape == PICTURE.shape


def test_waiting_can_be_given_up(strange: DecodeProcess) -> None:
    def enough() -> None:
        raise KeyError("enough")

    strange.while_waiting = enough
    strange.limits = Limits(seconds=60)
    with pytest.raises(KeyError):
        strange.decode(encoded(PICTURE, "PNG") + b"hang")
    assert strange.decode(encoded(PICTURE, "PNG")).pixels.shape == PICTURE.shape


def test_it_ends_with_its_owner(process: DecodeProcess) -> None:
    with DecodeProcess() as other:
        other.decode(encoded(PICTURE, "PNG"))
        pid = other.pid
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def inside_dicom(frame: bytes, syntax: UID, side: int) -> bytes:
    """A DICOM file that says ``side`` by ``side`` pixels, with this frame in it."""
    dataset = radiograph(np.zeros((2, 2), np.uint8))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.Rows = dataset.Columns = side
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return written(dataset)


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes two thousand times."""
    file = io.BytesIO()
    Image.fromarray(np.full((512, 512), 90, np.uint8)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 2000 + b"\xff\xd9"


def tiny_precincts(side: int) -> bytes:
    """A JPEG 2000 header alone: every precinct is one pixel."""
    size = struct.pack(">HHIIIIIIIIH", 41, 0, side, side, 0, 0, side, side, 0, 0, 1) + b"\x07\x01\x01"
    style = b"\x01" + b"\x00" + struct.pack(">H", 1) + b"\x00" + b"\x05\x00\x00\x00\x01" + b"\x00" * 6
    coding = struct.pack(">H", 2 + len(style)) + style
    quantisation = struct.pack(">H", 2 + 1 + 16) + b"\x40" + b"\x40" * 16
    head = b"\xff\x4f\xff\x51" + size + b"\xff\x52" + coding + b"\xff\x5c" + quantisation
    return head + b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\xff\x93" + b"\x00" * 64 + b"\xff\xd9"


def great_tile() -> bytes:
    """A TIFF of one pixel in a tile of two thousand million."""
    numbers = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (277, 1), (322, 46_000), (323, 46_000)]
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*numbers, (324, 8), (325, 8)]]
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(12)


BOMBS = {
    "JPEG of two thousand scans": lambda: inside_dicom(many_scans(), JPEGBaseline8Bit, 512),
    "JPEG 2000 of tiny precincts": lambda: inside_dicom(tiny_precincts(8000), JPEG2000Lossless, 8000),
    "RLE of nothing": lambda: inside_dicom(struct.pack("<16I", 1, 64, *[0] * 14), RLELossless, 8000),
    "TIFF with one great tile": great_tile,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_small_files_that_would_take_minutes_or_gigabytes(
    process: DecodeProcess, monkeypatch: pytest.MonkeyPatch, bomb: str
) -> None:
    monkeypatch.setattr(process, "limits", Limits(seconds=2))
    with pytest.raises(UnreadableError) as caught:
        process.decode(BOMBS[bomb]())
    assert caught.value.kind in ("corrupt", "truncated", "too_many_pixels"), "not `too_slow`"
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 512 * 1024, "kB"


def test_the_address_space_ends_what_no_check_has_seen(strange: DecodeProcess) -> None:
    """The precincts again, past the check of the header."""
    strange.limits = Limits(memory_bytes=1024**3)
    data = inside_dicom(tiny_precincts(8000) + b"unchecked", JPEG2000Lossless, 8000)
    assert refused(strange, data) in ("corrupt", "too_much_memory", "too_slow", "truncated")
