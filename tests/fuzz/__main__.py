"""``python -m tests.fuzz [--seconds N] [--seed N] [--only decoders|intake]``: damaged files, counted.

Half of the time the decoders get them, in the child that workers use; the other half what parses files
before they are stored: headers and identifiers, archives, CSVs, bodies of DICOMweb. What ends its process,
takes more than 5 seconds or 1 GB of memory, or raises what nobody expects has failed, and the file is kept.
The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.fuzz.decoders import Decoders
from tests.fuzz.intake import Intake
from tests.fuzz.running import fuzz

SUBJECTS = {"decoders": Decoders, "intake": Intake}


def main() -> int:
    """Exit status 1 if any file failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--only", choices=SUBJECTS, help="default: each half of the time")
    default = Path(os.environ.get("VAR_DIR") or "var") / "fuzz"
    parser.add_argument("--kept", type=Path, default=default, help="folder of files that fail: %(default)s")
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    tried = [options.only] if options.only else list(SUBJECTS)
    failed = False
    for name in tried:
        seconds = options.seconds / len(tried)
        sys.stdout.write(f"{name}: seed {seed}, {seconds:g} s\n")
        sys.stdout.flush()
        tally = fuzz(SUBJECTS[name](), seconds, seed, options.kept)
        sys.stdout.write("\n".join(tally.lines()) + "\n")
        failed = failed or bool(tally.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
