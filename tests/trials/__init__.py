"""Tests of what the trials compute; the trials themselves are commands."""
