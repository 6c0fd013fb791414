"""Which data folders this version can open: ``VAR_DIR/format`` holds the number of what lies there."""

from __future__ import annotations

from pathlib import Path

from xrayportal.embedded.errors import StartProblem

#: Goes up when a release cannot migrate what the one before wrote. Version 0.1.0 wrote no number.
FORMAT = 2


def claim(var: Path, *, target: str) -> None:
    """Mark a folder without a database as ours; ``StartProblem`` if another version made its database.

    Args:
        var: folder of all data.
        target: of make, for the sentence: ``demo`` or ``up``.
    """
    stamp = var / "format"
    if not (var / "postgres").exists():
        stamp.write_text(f"{FORMAT}\n")
        return
    number = stamp.read_text().strip() if stamp.is_file() else ""
    if number != str(FORMAT):
        maker = f"a version with format {number}" if number else "version 0.1.0"
        raise StartProblem(
            f"The data in {var} was made by {maker}, which this version cannot open: "
            f"start with another folder, `make {target} VAR_DIR=…`, or remove it."
        )
