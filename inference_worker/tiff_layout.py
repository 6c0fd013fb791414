"""Which samples of a TIFF are decoded, for the intake and the decoder. Imports no decoder."""

from __future__ import annotations

from dataclasses import dataclass

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
RAW, _LZW, JPEG, DEFLATE, _PACK_BITS, OLD_DEFLATE, _LZMA, _ZSTD = 1, 5, 7, 8, 32773, 32946, 34925, 50000
#: Compressions of whole bytes, which know nothing of samples.
_OF_BYTES = frozenset({RAW, _LZW, DEFLATE, _PACK_BITS, OLD_DEFLATE, _LZMA, _ZSTD})
#: CCITT RLE, group 3 and group 4.
_FAX = frozenset({2, 3, 4})
UNSIGNED, SIGNED, FLOAT, _UNKNOWN = 1, 2, 3, 4
HORIZONTAL, FLOATING = 2, 3
_FLOAT_BITS = (16, 32, 64)
_MOST_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples of a picture lie in the file."""

    width: int
    height: int
    bits: int
    samples: int
    format: int
    photometric: int
    compression: int
    predictor: int
    is_planar: bool

    @property
    def is_ordinary(self) -> bool:
        """Whether Pillow decodes this kind as it is."""
        if self.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
            return self.bits <= 8
        is_plain = not self.is_planar and self.samples != 2
        plain = self.format in (UNSIGNED, _UNKNOWN) and (is_plain or self.compression not in _OF_BYTES)
        return plain and (self.bits == 8 or (self.bits < 8 and self.predictor == 1))

    @property
    def is_decoded(self) -> bool:
        """Whether the samples are of a kind that is decoded here."""
        if self.is_ordinary:
            return self.compression in _OF_BYTES | {JPEG} | (_FAX if self.bits == 1 else frozenset())
        if self.format == FLOAT:
            is_known = self.bits in _FLOAT_BITS and self.predictor in (1, HORIZONTAL, FLOATING)
        elif self.format == SIGNED:
            is_known = self.bits in (8, 16, 32) and self.predictor in (1, HORIZONTAL)
        else:
            is_known = self.format in (UNSIGNED, _UNKNOWN) and 1 <= self.bits <= 32
            is_known = is_known and self.predictor in (1, HORIZONTAL)
        least = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}.get(self.photometric, _MOST_SAMPLES + 1)
        return is_known and self.compression in _OF_BYTES and least <= self.samples <= _MOST_SAMPLES
