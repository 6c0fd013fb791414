"""Wait until the portal can analyse, then say where it is: ``python -m xrayportal.embedded.announce``."""

from __future__ import annotations

import json
import shlex
import sys
import urllib.error
import urllib.request
from pathlib import Path

from xrayportal.embedded.processes import wait_until

PATIENCE = 120.0
LOGINS = "demo-logins.txt"
#: The kind of the start that made the logins: passwords are printed for whoever made them, and not again.
NEW_DEMO = "new-demo"


def main(address: str, kind: str, var: str) -> None:
    """Print the sentences that a person starts with."""
    ready = wait_until(lambda: _missing(address) == [], seconds=PATIENCE, pause=0.15)
    logins = Path(var) / LOGINS
    lines = ["", f"X-Ray Portal is ready: {address}" if ready else f"X-Ray Portal: {address}", ""]
    if not ready:
        lines += [f"Studies wait for now, since these are not ready: {', '.join(_missing(address))}.", ""]
    if kind == NEW_DEMO and logins.is_file():
        lines += [*logins.read_text().splitlines(), f"They are shown this once, and kept in {logins}."]
    elif kind == "demo" and logins.is_file():
        lines += [f"The demo logins are in {logins}."]
    else:
        lines += [
            "The first clinic with its administrator, in a second terminal:",
            f"  export VAR_DIR={shlex.quote(var)}",
            "  .venv/bin/python manage.py create_clinic --name Mine --slug mine --admin me@mine.example",
            "A superuser, who looks after clinics, bundles and operations at /admin/:",
            "  .venv/bin/python manage.py createsuperuser",
        ]
    lines += ["", "Research use only: not for diagnosis. Ctrl-C stops the portal; the data stays.", ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _missing(address: str) -> list[str]:
    """Parts without which a study sent now would not be analysed."""
    try:
        with urllib.request.urlopen(f"{address}statusz", timeout=5) as answer:  # noqa: S310  our own http address
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError:
        return ["web"]
    try:
        return list(json.loads(body)["missing"])
    except (ValueError, KeyError):
        return ["web"]


if __name__ == "__main__":
    main(*sys.argv[1:])
