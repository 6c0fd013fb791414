"""Work on many rows, of which one may be one that nobody can deal with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db import InterfaceError, OperationalError
from django.db.models import Model

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Model)


def act_on_each(rows: Iterable[Row], act: Callable[[Row], object]) -> int:
    """Act on every row, and count those for which ``act`` returned what is true.

    One that cannot be dealt with is logged and keeps none behind it waiting. Raises what says that the
    database is away.
    """
    count = 0
    for row in rows:
        try:
            count += bool(act(row))
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("Could not deal with %s %s", row._meta.model_name, row.pk)
    return count
