"""What a picture may cost: its size, checked before a pixel is decoded, and time and memory of decoding."""

from __future__ import annotations

from dataclasses import dataclass

from inference_worker.types import UnreadableError


@dataclass(frozen=True, slots=True)
class Limits:
    """Most bytes of a file, pixels of a picture, pixels along one side; seconds and memory to decode it.

    The largest digital radiographs have 20 million pixels; 64 million leave room for scanned film.
    The side is bounded because JPEG, the format of the display picture, ends at 65,500.

    ``seconds`` (of processor time) and ``memory_bytes`` (address space) bound a decoding in a process of its
    own (`inference_worker.decode.isolated`), whatever a header has promised.
    """

    file_bytes: int = 256 * 1024 * 1024
    pixels: int = 64_000_000
    side: int = 32_000
    seconds: float = 8.0
    memory_bytes: int = 3 * 1024**3

    def check_bytes(self, count: int) -> None:
        """Raise `UnreadableError` (``empty``, ``too_large``) for a file of ``count`` bytes."""
        if count == 0:
            raise UnreadableError("empty", "The file is empty; send it again from its source.")
        if count > self.file_bytes:
            raise UnreadableError(
                "too_large",
                f"The file has {count / 2**20:,.0f} MiB, more than the {self.file_bytes / 2**20:,.0f} MiB "
                "allowed; export the picture in a smaller size.",
            )

    def check_size(self, width: int, height: int) -> None:
        """Raise `UnreadableError` (``corrupt``, ``too_many_pixels``) for a picture of this size in pixels."""
        if width < 1 or height < 1:
            raise UnreadableError(
                "corrupt", "The picture's header gives it no width or height; export it again."
            )
        if width > self.side or height > self.side or width * height > self.pixels:
            raise UnreadableError(
                "too_many_pixels",
                f"The picture has {width:,} × {height:,} pixels, more than the "  # noqa: RUF001  a size is written with a multiplication sign
                f"{self.pixels / 1e6:,.0f} million allowed ({self.side:,} along one side); "
                "export it in a smaller size.",
            )
