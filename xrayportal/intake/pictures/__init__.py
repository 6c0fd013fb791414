"""PNG, JPEG and TIFF: header checks and removal of what may name people, without touching a pixel."""

from __future__ import annotations

from xrayportal.intake.pictures import jpeg, png, tiff

__all__ = ["jpeg", "png", "tiff"]
