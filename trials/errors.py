"""How a trial ends that did not go as it should."""

from __future__ import annotations


class TrialError(Exception):
    """Something was lost, doubled or stuck, or what the trial needs could not be made."""
