"""The clinic of a trial, and the one person who may do everything in it."""

from __future__ import annotations

import re
from collections.abc import Callable

from trials.errors import TrialError

CLINIC = "trial"
EMAIL = "admin@trial.example"


def make_clinic(manage: Callable[..., str]) -> str:
    """Make the clinic; returns the person's password.

    ``manage`` runs ``manage.py`` with these arguments and returns what it printed. Raises `TrialError`.
    """
    told = manage(
        "create_clinic", "--blind-reading", "no", "--name", "Trial", "--slug", CLINIC, "--admin", EMAIL
    )
    password = re.search(r"signs in with (\S+)", told)
    if password is None:
        raise TrialError(f"create_clinic gave no password: {told}")
    return password[1]
