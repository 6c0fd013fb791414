"""``python -m xrayportal.embedded demo|up``: what ``make demo`` and ``make up`` run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from xrayportal.embedded.environment import given
from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.portal import BASE, Request, restore, run

SHARED_SAMPLES = BASE.parent / "shared" / "data" / "fracatlas" / "images"
SHARED_LIMIT = 20


def main() -> int:
    """Parse, run, and turn what keeps the portal from starting into one sentence."""
    parser = argparse.ArgumentParser(prog="python -m xrayportal.embedded", description=__doc__)
    parser.add_argument(
        "kind",
        choices=["demo", "up", "restore"],
        help="with or without demo clinics, users and samples; or a backup",
    )
    parser.add_argument("--samples", type=Path, help="demo: submit the pictures of this folder as well")
    parser.add_argument("--file", type=Path, help="restore: what `manage.py backup` wrote")
    options = parser.parse_args()
    try:
        if options.kind == "restore":
            if options.file is None:
                raise StartProblem("FILE must name a backup: `make restore FILE=… VAR_DIR=…`.")
            return restore(_request(options.kind, None), options.file.expanduser().resolve())
        return run(_request(options.kind, options.samples))
    except StartProblem as problem:
        sys.stderr.write(f"\n{problem}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _request(kind: str, samples: Path | None) -> Request:
    port = os.environ.get("PORT") or "8000"
    if not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise StartProblem(f"PORT must be a number from 1 to 65535, not “{port}”.")
    samples = samples and samples.expanduser().resolve()
    if samples is not None and not samples.is_dir():
        raise StartProblem(f"SAMPLES must name a folder of pictures; “{samples}” is none.")
    limit = 0
    if kind == "demo" and samples is None and SHARED_SAMPLES.is_dir():
        samples, limit = SHARED_SAMPLES, SHARED_LIMIT
    var = Path(given("VAR_DIR") or BASE / "var").expanduser().resolve()
    return Request(var=var, port=int(port), demo=kind == "demo", samples=samples, sample_limit=limit)


if __name__ == "__main__":
    sys.exit(main())
