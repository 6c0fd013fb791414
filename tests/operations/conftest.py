"""The people of ``tests.portal``."""

from __future__ import annotations

from tests.portal.conftest import House, browser, house, stored_files

__all__ = ["House", "browser", "house", "stored_files"]
