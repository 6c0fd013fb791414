"""Database triggers: ``.sql`` files in the folder of their room, which migrations run."""

from __future__ import annotations

from pathlib import Path

from django.db.migrations import RunSQL

_PORTAL = Path(__file__).resolve().parent


def run_sql(room: str, name: str) -> RunSQL:
    """The operation that runs ``<room>/sql/<name>.sql`` forwards and ``<name>_undo.sql`` backwards."""
    folder = _PORTAL / room / "sql"
    return RunSQL((folder / f"{name}.sql").read_text(), (folder / f"{name}_undo.sql").read_text())
