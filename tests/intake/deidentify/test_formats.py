"""docs/uploads.md lists what is read; this holds its table to what the intake and the decoder do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from inference_worker import notes
from inference_worker.decode import decode
from inference_worker.dicom_attributes import DECODERS
from tests.inference_worker.drawing import packed, png_of, radiograph, tiff_of, written
from xrayportal.intake.deidentify import png, tiff
from xrayportal.intake.deidentify.dicom import deidentify

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "uploads.md").read_text()
ROWS = {row.split("|")[1].strip(): row for row in PAGE.splitlines() if row.startswith("| ")}


def test_every_transfer_syntax_is_listed() -> None:
    plain = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
    for syntax in (*plain, DeflatedExplicitVRLittleEndian, *DECODERS):
        assert syntax.name.split(" (Process 2")[0].split(":")[0] in ROWS["DICOM"], syntax.name


def test_every_note_is_listed() -> None:
    for code in notes.SENTENCES:
        assert f"`{code}`" in PAGE


@pytest.mark.parametrize("bits", [1, *range(8, 33)])
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_tiff_of_every_depth(bits: int, photometric: int) -> None:
    ramp = np.linspace(0, 2**bits - 1, 600).astype(np.int64).reshape(20, 30)
    if bits in (8, 16, 24, 32):  # whole bytes lie in the file's own order
        content = ramp.astype("<u4").view(np.uint8).reshape(20, 30, 4)[..., : bits // 8].tobytes()
    else:
        content = packed(ramp, bits)
    source = tiff_of(content, 30, 20, t258=bits, t262=photometric)
    pixels = decode(tiff.strip(source)).pixels
    expected = np.rint(ramp / (2**bits - 1) * 255)
    assert np.abs(pixels - (expected if photometric else 255 - expected)).max() <= 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_png_of_every_kind(channels: int, depth: int) -> None:
    ramp = np.linspace(0, 2**depth - 1, 600).reshape(20, 30).astype(f"u{depth // 8}")
    colours = [ramp] * (1 if channels < 3 else 3) + [np.full_like(ramp, 2**depth - 1)] * (channels % 2 == 0)
    pixels = decode(png.strip(png_of(np.dstack(colours)))).pixels
    assert np.abs(pixels - ramp * (255 / (2**depth - 1))).max() <= 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("top", [None, 15])
def test_dicom_of_every_depth(photometric: str, bits: int, top: int | None) -> None:
    ramp = np.linspace(0, 2**bits - 1, 600).reshape(20, 30).astype(np.uint16)
    values = ramp if top is None else ramp << (top + 1 - bits)
    source = radiograph(values, PhotometricInterpretation=photometric, BitsStored=bits)
    source.HighBit = bits - 1 if top is None else top
    pixels = decode(deidentify(written(source), b"k" * 32).content).pixels
    expected = ramp * (255 / (2**bits - 1))
    assert np.abs(pixels - (expected if photometric == "MONOCHROME2" else 255 - expected)).max() <= 2
