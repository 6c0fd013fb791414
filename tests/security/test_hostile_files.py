"""Small files that would cost much time or memory: each is rejected by name, quickly, and harms no other."""

from __future__ import annotations

import io
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.factories import jpeg, png
from tests.intake.bulk.conftest import Take, deliver, submission, zipped
from tests.waiting import PATIENCE
from xrayportal.clinics.models import Clinic
from xrayportal.intake import prepare
from xrayportal.intake.bulk.archives import Archive
from xrayportal.intake.deidentify import jpeg as jpeg_strip
from xrayportal.intake.deidentify import png as png_strip
from xrayportal.intake.deidentify import tiff as tiff_strip
from xrayportal.intake.deidentify.dicom import deidentify
from xrayportal.intake.rejection import RejectedError
from xrayportal.studies.models import Upload

__all__ = ["deliver", "submission"]
#: Of processor time. Each of these took from ten seconds to hours, or gigabytes, before there were limits.
SECONDS = 15
MEGABYTE = 1 << 20
UNDEFINED = 0xFFFFFFFF
ITEM = b"\xfe\xff\x00\xe0"


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    begun = time.process_time()  # what other programs take of the machine does not count
    yield
    assert time.process_time() - begun < SECONDS


def element(group: int, number: int, value: bytes) -> bytes:
    """A DICOM element in implicit little endian."""
    return struct.pack("<HHI", group, number, len(value)) + value


def sequence(group: int, number: int, content: bytes) -> bytes:
    """A DICOM sequence of undefined length."""
    start = struct.pack("<HHI", group, number, UNDEFINED)
    return start + content + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


def radiograph(extra: bytes = b"") -> bytes:
    """A whole DICOM file of 2 x 2 pixels without a meta group, with ``extra`` elements in it."""
    word = struct.Struct("<H").pack
    return (
        element(0x0008, 0x0016, b"1.2.840.10008.5.1.4.1.1.1\x00")
        + element(0x0008, 0x0060, b"CR")
        + element(0x0028, 0x0002, word(1))
        + element(0x0028, 0x0004, b"MONOCHROME2 ")
        + element(0x0028, 0x0010, word(2))
        + element(0x0028, 0x0011, word(2))
        + element(0x0028, 0x0100, word(8))
        + element(0x0028, 0x0101, word(8))
        + element(0x0028, 0x0102, word(7))
        + element(0x0028, 0x0103, word(0))
        + extra
        + element(0x7FE0, 0x0010, b"abcd")
    )


ITEMS = (ITEM + b"\x00" * 4) * (MEGABYTE // 8)
NESTED = (struct.pack("<HHI", 0x28, 0x3010, UNDEFINED) + ITEM + b"\xff" * 4) * 20_000
DICOM = {
    "a table of empty items": element(0x28, 0x3010, ITEMS),
    "the same without a length": sequence(0x28, 0x3010, ITEMS),
    "items of a sequence that nobody wants": sequence(0x40, 0x0275, ITEMS),
    "countless elements": element(0x09, 0x1010, b"") * (MEGABYTE // 8),
    "countless elements in one item": sequence(
        0x40, 0x0275, ITEM + b"\xff" * 4 + b"\x09\x00\x10\x10\0\0\0\0" * 90_000
    ),
    "sequences in sequences": NESTED,
}


def test_the_radiograph_itself_is_taken() -> None:
    assert deidentify(radiograph(), b"key").content


@pytest.mark.parametrize("what", DICOM)
def test_dicom_that_swells_in_memory(what: str) -> None:
    with pytest.raises(RejectedError) as caught:
        deidentify(radiograph(DICOM[what]), b"key")
    assert caught.value.kind in ("corrupt", "truncated")


@pytest.mark.parametrize(
    "extra",
    [
        element(0x28, 0x1050, b"1\\" * (MEGABYTE // 2)),
        element(0x28, 0x1050, b"1\\" * 15_000),
        element(0x28, 0x0120, b"\xff\xee" * (MEGABYTE // 2)),
        element(0x28, 0x1053, b"1." + b"0" * MEGABYTE),
    ],
)
def test_values_that_are_far_too_long_are_left_out(extra: bytes) -> None:
    cleaned = deidentify(radiograph(extra), b"key")
    assert len(cleaned.content) == len(deidentify(radiograph(), b"key").content)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def one_directory(data: bytes, *entries: bytes) -> bytes:
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return head + data + struct.pack("<H", len(entries)) + b"".join(entries) + b"\x00" * 4


SHOWN = (entry(256, 4, 1, 1), entry(257, 4, 1, 1), entry(273, 4, 1, 8), entry(279, 4, 1, 1))


def overlapping_directories(directories: int, entries: int) -> bytes:
    """TIFF directories that begin twelve bytes after one another and share their entries."""
    area = bytearray(entry(254, 4, 1, 1) * (entries + directories + 4))
    area[:0] = b"\x00\x00"
    for index in range(directories):
        struct.pack_into("<H", area, 12 * index, entries)
        struct.pack_into("<I", area, 2 + 12 * (index + entries), 8 + 12 * (index + 1))
    return struct.pack("<2sHI", b"II", 42, 8) + bytes(area)


def circle() -> bytes:
    """A TIFF directory that names itself as the next one."""
    content = one_directory(b"\x00", *SHOWN)
    return content[:-4] + struct.pack("<I", 9)


TIFF = {
    "values that lie over each other": one_directory(
        b"\x00" * MEGABYTE,
        *SHOWN,
        *(entry(tag, 7, MEGABYTE, 8) for tag in (282, 283, 301, 320, 333, 347, 532)),
    ),
    "the same value again and again": one_directory(
        b"\x00" * MEGABYTE, *SHOWN, *(entry(320, 7, MEGABYTE, 8),) * 900
    ),
    "more strips than lines": one_directory(
        b"\x00" * (4 * MEGABYTE),
        *SHOWN[:2],
        entry(273, 4, 400_000, 8),
        entry(279, 4, 400_000, 8 + 2 * MEGABYTE),
    ),
    "directories over directories": overlapping_directories(600, 8000),
    "a long chain of directories": overlapping_directories(600, 2),
    "a circle": circle(),
}


@pytest.mark.parametrize("what", TIFF)
def test_tiff_that_never_ends(what: str) -> None:
    with pytest.raises(RejectedError):
        tiff_strip.strip(TIFF[what])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_png_of_countless_chunks() -> None:
    content = png()
    end = content.index(b"IEND") - 4
    with pytest.raises(RejectedError):
        png_strip.strip(content[:end] + chunk(b"IDAT", b"") * 100_000 + content[end:])


def test_png_bombs_beside_the_pixels_are_not_kept() -> None:
    bomb = zlib.compress(b"\x00" * (64 * MEGABYTE), 9)
    content = png()
    end = content.index(b"IDAT") - 4
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        inside = chunk(kind, b"x\x00\x00" + bomb)
        assert png_strip.strip(content[:end] + inside + content[end:]) == png_strip.strip(content)


def test_jpeg_of_countless_segments() -> None:
    content = jpeg()
    with pytest.raises(RejectedError):
        jpeg_strip.strip(content[:2] + b"\xff\xfe\x00\x02" * 100_000 + content[2:])


def test_what_follows_the_picture_is_not_kept() -> None:
    page = b"<script>alert(1)</script>PK\x03\x04"
    assert page not in jpeg_strip.strip(jpeg() + page)
    assert page not in png_strip.strip(png() + page)


def test_archive_whose_directory_alone_fills_the_memory() -> None:
    count = 20_000
    directory = (b"PK\x01\x02" + bytes(42)) * count
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), 30, 0)
    with pytest.raises(RejectedError) as caught:
        Archive(io.BytesIO(b"PK\x03\x04" + bytes(26) + directory + end))
    assert caught.value.kind == "archive-files"


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.django_db
def test_methods_without_a_bound_are_refused_by_name(method: int, deliver: Take) -> None:
    content = zipped({"a.png": png()}, method)
    _archive, inner = deliver("x.zip", bytes(content))
    assert (inner.outcome, inner.kind) == (Upload.Outcome.REJECTED, "member-method")


@pytest.mark.django_db
def test_a_member_whose_name_is_no_text_spoils_no_other(deliver: Take) -> None:
    content = bytearray(
        zipped({"good.png": png(shade=1), "b\N{LATIN SMALL LETTER A WITH DIAERESIS}d.png": png()})
    )
    local = content.index("bäd.png".encode())
    content[local + 1] = 0xFF  # in the local header only: the directory can be read
    uploads = deliver("x.zip", bytes(content))
    kinds = {upload.filename: upload.kind for upload in uploads[1:]}
    assert kinds == {"good.png": "", "bäd.png": "member-damaged"}


@pytest.mark.django_db
def test_a_path_that_is_no_reference(deliver: Take) -> None:
    (upload,) = deliver(f"top/patient{'1' * 200}/study1_positive/image1.png", png())
    assert upload.outcome == Upload.Outcome.ACCEPTED
    assert upload.image is not None
    assert upload.image.study.patient_reference == ""


@pytest.mark.django_db
def test_labels_without_end(deliver: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xrayportal.intake.bulk.labels.MAX_LABELS", 10)
    monkeypatch.setattr("xrayportal.intake.bulk.delivery.MAX_LABELS", 10)
    rows = [f"file\n{''.join(f'{start + number}.png{chr(10)}' for number in range(8))}" for start in (0, 8)]
    first, second = (deliver(f"{name}.csv", text.encode())[0] for name, text in zip("ab", rows, strict=True))
    assert (first.outcome, second.outcome) == (Upload.Outcome.APPLIED, Upload.Outcome.REJECTED)
    (long,) = deliver("c.csv", f"file\n{'x' * 2000}.png\n".encode())
    assert long.outcome == Upload.Outcome.REJECTED


def test_large_files_take_turns_and_small_ones_pass_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen at once would take gigabytes and end the web process."""
    monkeypatch.setattr(prepare, "_LARGE_BYTES", 1000)
    clinic = Clinic()
    at_work: list[bytes] = []
    most: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(data: bytes) -> bytes:
        at_work.append(data)
        most.append(len(at_work))
        begun.set()
        assert go_on.wait(PATIENCE)
        at_work.remove(data)
        return data

    monkeypatch.setitem(prepare._STRIP, "image/png", slow)
    monkeypatch.setitem(prepare._STRIP, "image/jpeg", lambda data: data)
    large = [png(shade=shade) + bytes(2000) for shade in range(6)]
    with ThreadPoolExecutor(len(large)) as pool:
        waiting = [pool.submit(prepare.prepare, io.BytesIO(one), len(one), clinic) for one in large]
        small = jpeg()
        assert len(small) <= 1000
        try:
            assert begun.wait(PATIENCE)
            assert prepare.prepare(io.BytesIO(small), len(small), clinic).media_type == "image/jpeg"
        finally:
            go_on.set()
        assert [one.result().media_type for one in waiting] == ["image/png"] * 6
    assert max(most) == 1
