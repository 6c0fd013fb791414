"""The same clinic and people as in the portal's tests."""

from tests.portal.conftest import house, sender

__all__ = ["house", "sender"]
