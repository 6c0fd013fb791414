"""Queries whose SQL is made once for a process: for the few that every poll and every list asks.

Building a query of many joins and subqueries takes the ORM longer than PostgreSQL takes to answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.functional import cached_property


class Prepared:
    """A ``values_list`` whose parameters alone change.

    ``build`` makes the queryset and is called once, with ``examples``: values of the parameters that the
    query holds nowhere else, in the types that the database takes (a UUID, not its text). What ``build``
    reads besides them is part of the SQL for good. A parameter that the query does not hold raises
    ValueError, unless it is one of ``unused``.
    """

    def __init__(
        self,
        build: Callable[..., QuerySet[Any, Any]],
        *,
        unused: Collection[str] = (),
        **examples: object,
    ) -> None:
        self._build, self._unused, self._examples = build, unused, examples

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """The rows for these values of the parameters, with the columns in the order of ``values_list``."""
        sql, constants, places = self._compiled
        parameters = [*constants]
        for place, name in places:
            parameters[place] = values[name]
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    @cached_property
    def _compiled(self) -> tuple[str, list[Any], list[tuple[int, str]]]:
        """The SQL, its parameters, and which of them are to be replaced by which value."""
        sql, parameters = self._build(**self._examples).query.sql_with_params()
        places = [
            (place, name)
            for place, parameter in enumerate(parameters)
            for name, example in self._examples.items()
            if type(parameter) is type(example) and parameter == example
        ]
        missing = self._examples.keys() - {name for _place, name in places} - {*self._unused}
        if missing:
            raise ValueError(f"the query does not use {', '.join(sorted(missing))} as it is")
        return sql, list(parameters), places
