"""``python -m benchmarks [GROUP…] [--json FILE]``: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.groups import groups, measure
from benchmarks.machine import describe
from benchmarks.registry import Row, UnmeasurableError


def main() -> int:
    """Exit status 0, 1 if a group could not be measured, 3 if a promise was not kept, 130 after Ctrl-C."""
    try:
        options = _options(groups())
        return _run(options.groups, options.json)
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.")
        return 130


def _options(known: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"some of: {'; '.join(known)}")
    default = Path(os.environ.get("VAR_DIR") or "var") / "bench.json"
    parser.add_argument("--json", type=Path, default=default, help="default: %(default)s")
    options = parser.parse_args()
    unknown = sorted(set(options.groups) - set(known))
    if unknown:
        parser.error(f"there is no group {', '.join(unknown)}; the groups are {'; '.join(known)}")
    options.groups = options.groups or known
    return options


def _run(chosen: list[str], file: Path) -> int:
    machine = describe()
    print(f"{machine['processor']}, {machine['cores']} cores; load {os.getloadavg()[0]:.2f} at the start")
    measured: dict[str, list[Row]] = {}
    unmeasured: dict[str, str] = {}
    for group in chosen:
        print(f"\n{group}\n{'':44}{'unit':>9}{'n':>5}{'median':>10}{'p95':>10}  expected", flush=True)
        measured[group] = []
        try:
            with closing(measure(group)) as rows:
                for row in rows:
                    measured[group].append(row)
                    print(_line(row), flush=True)
        except UnmeasurableError as error:
            unmeasured[group] = str(error)
            print(f"  could not be measured: {error}")
    document = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "groups": {group: [asdict(row) for row in rows] for group, rows in measured.items()},
        "unmeasured": unmeasured,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"\nWritten to {file}")
    if unmeasured:
        return 1
    return 3 if any(row.kept is False for rows in measured.values() for row in rows) else 0


def _line(row: Row) -> str:
    mark = {None: "", True: "kept", False: "NOT KEPT"}[row.kept]
    return f"{row.what:44}{row.unit:>9}{row.n:>5}{row.median:>10.2f}{row.p95:>10.2f}  {row.expected} {mark}"


if __name__ == "__main__":
    sys.exit(main())
