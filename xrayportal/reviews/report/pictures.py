"""Radiograph and overlay in a PDF as they are: compressed bytes are passed on, no pixel is decoded.

PDF knows JPEG (DCTDecode) and PNG's own compression (FlateDecode with PNG predictors). The overlay is
a palette PNG whose alpha equals its palette index, so the same bytes serve twice: through the
palette as colour, and as grey levels for the soft mask.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from reportlab.pdfbase.pdfdoc import PDFDictionary, PDFStream
from reportlab.pdfgen.canvas import Canvas

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_HEADER = (8, 3, 0, 0, 0)  # bit depth, colour type, compression, filter, interlace
#: JPEG frame headers; DHT, JPG and DAC share their range.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: How opaque full evidence is on paper; the viewer starts with the same.
OPACITY = 0.6
_SPACES = {1: "/DeviceGray", 3: "/DeviceRGB"}


@dataclass(frozen=True)
class Picture:
    """A picture that a PDF can hold as it is; with ``has_mask`` its palette indices are its opacity, too."""

    width: int
    height: int
    space: str
    filter: str
    parameters: str
    content: bytes
    has_mask: bool = False


def jpeg(content: bytes) -> Picture | None:
    """A baseline or progressive JPEG, grey or colour; None for anything else."""
    if content[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 < len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES:
            height, width, components = struct.unpack(">HHB", content[at + 5 : at + 10])
            space = _SPACES.get(components)
            return Picture(width, height, space, "/DCTDecode", "", content) if space else None
        at += 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
    return None


def overlay(content: bytes) -> Picture | None:
    """An overlay as the worker writes it; None for any other PNG."""
    chunks = _chunks(content)
    if chunks is None or len(chunks.get(b"IHDR", b"")) != 13:
        return None
    width, height, *header = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    palette, alpha = chunks.get(b"PLTE", b""), chunks.get(b"tRNS", b"")
    if tuple(header) != _PALETTE_HEADER or len(palette) != 768 or alpha != bytes(range(256)):
        return None
    return Picture(
        width=width,
        height=height,
        space=f"[/Indexed /DeviceRGB 255 <{palette.hex()}>]",
        filter="/FlateDecode",
        parameters=f"<< /Predictor 15 /Colors 1 /BitsPerComponent 8 /Columns {width} >>",
        content=chunks.get(b"IDAT", b""),
        has_mask=True,
    )


def draw(
    canvas: Canvas, name: str, picture: Picture, x: float, y: float, width: float, height: float
) -> None:
    """Draw the picture into the rectangle (points from the page's lower left corner)."""
    document: Any = canvas._doc  # type: ignore[attr-defined]  # where objects are registered; stubs omit it
    internal = document.getXObjectName(name)
    if internal not in document.idToObject:
        stream = _stream(picture, picture.space)
        if picture.has_mask:
            grey = _stream(picture, "/DeviceGray")
            stream.dictionary["SMask"] = document.Reference(grey, f"{internal}-mask")
        document.Reference(stream, internal)
        document.addForm(name, stream)
    canvas.saveState()
    canvas.transform(width, 0, 0, height, x, y)
    canvas.doForm(name)
    canvas.restoreState()


def draw_marked(
    canvas: Canvas, radiograph: Picture, heatmap: Picture, x: float, y: float, width: float, height: float
) -> None:
    """Draw the radiograph with the heatmap on it; one radiograph and one heatmap to a document."""
    draw(canvas, "radiograph", radiograph, x, y, width, height)
    canvas.saveState()
    canvas.setFillAlpha(OPACITY)
    draw(canvas, "overlay", heatmap, x, y, width, height)
    canvas.restoreState()


def _stream(picture: Picture, space: str) -> PDFStream:
    dictionary = {
        "Type": "/XObject",
        "Subtype": "/Image",
        "Width": picture.width,
        "Height": picture.height,
        "BitsPerComponent": 8,
        "ColorSpace": space,
        "Filter": picture.filter,
        "Interpolate": "true",
    }
    if picture.parameters:
        dictionary["DecodeParms"] = picture.parameters
    return PDFStream(dictionary=PDFDictionary(dictionary), content=picture.content)


def _chunks(content: bytes) -> dict[bytes, bytes] | None:
    """The PNG's chunks by type, equal types joined; None if it is no whole PNG."""
    if not content.startswith(_SIGNATURE):
        return None
    chunks: dict[bytes, bytes] = {}
    at = len(_SIGNATURE)
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind = content[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + content[at + 8 : at + 8 + length]
        if kind == b"IEND":
            return chunks
        at += 12 + length
    return None
