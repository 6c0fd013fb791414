"""Tells a file's format from its first bytes, never from its name. Imports no decoder."""

from __future__ import annotations

from typing import Literal

Format = Literal["png", "jpeg", "tiff", "dicom"]

#: As many leading bytes as `sniff` and `describe` look at.
HEAD_BYTES = 512

#: Suffixes under which pictures and DICOM files are usually stored; used only to walk folders.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".dcm", ".dicom", ".dic"})

_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)

#: Groups that a data set may begin with, where those before them were left out.
_FIRST_GROUPS = (0x08, 0x10, 0x18, 0x20, 0x28)

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftyp", "a HEIC picture or a video"),
    (4, b"jP  \r\n", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x89HDF", "an HDF5 file"),
    (344, b"n+1\x00", "a NIfTI volume"),
)


def sniff(head: bytes) -> Format | None:
    """The format that ``head`` (the first `HEAD_BYTES` of a file) announces, or ``None``."""
    if has_preamble(head):  # first: the 128 bytes before it may pose as a TIFF (PS3.10, 7.1)
        return "dicom"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    return "dicom" if _starts_like_bare_dicom(head) else None


def has_preamble(head: bytes) -> bool:
    """Whether ``head`` carries the DICOM preamble (PS3.10, section 7.1)."""
    return head[128:132] == b"DICM"


def is_encrypted(head: bytes) -> bool:
    """Whether ``head`` opens an encrypted container: PGP, CMS (PS3.15 secure file), ZIP with a password."""
    if head.startswith((b"-----BEGIN PGP MESSAGE", b"-----BEGIN CMS", b"-----BEGIN PKCS7", b"Salted__")):
        return True
    if head.startswith(b"PK\x03\x04") and len(head) > 6:
        return bool(head[6] & 1)
    # DER: the object identifier 1.2.840.113549.1.7.3, enveloped data, right after the outer SEQUENCE.
    return head[:1] == b"\x30" and b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03" in head[:24]


def describe(head: bytes) -> str:
    """Describe a file that is no accepted picture by its first bytes, as a noun for a sentence."""
    for offset, signature, words in _OTHERS:
        if head[offset : offset + len(signature)] == signature:
            return words
    if not head.strip(b"\x00"):
        return "nothing but zeros"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"\x00" not in text and _is_text(text):
        return "text"
    return "something unknown"


def _is_text(head: bytes) -> bool:
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return control == 0 and sum(byte < 128 for byte in head) >= 0.7 * len(head)


def _starts_like_bare_dicom(head: bytes) -> bool:
    """Whether ``head`` opens with an element of a data set, as DICOM files without preamble do.

    An element of 32 bits: group, element number; then its type in two capitals, or a short length. Type and
    byte order are a file's own; big endian has always types (PS3.5, annex A).
    """
    if len(head) < 12:
        return False
    has_type = head[4:6].isalpha() and head[4:6].isupper()
    if head[:1] == b"\x00":
        return head[1] in _FIRST_GROUPS and head[2] == 0 and has_type
    is_element = head[0] in (2, *_FIRST_GROUPS) and head[1] == 0 and head[3] == 0
    return is_element and (has_type or 0 < int.from_bytes(head[4:8], "little") <= 128)
