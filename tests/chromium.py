"""The browser of the browser tests: ``python -m tests.chromium`` sees that there is one.

The system's Chromium is preferred; where there is none, root gets it from apt, and everybody else from
Playwright, which keeps browsers of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The system's Chromium; ``None`` leaves Playwright to its own."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def provide() -> None:
    """Install a browser unless there is one; ``SystemExit`` with a sentence where none can be had."""
    if find() is not None or _installed_with_apt():
        return
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    if subprocess.run(playwright, stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit("No Chromium is on PATH, and Playwright could install none: install the package chromium.")


def _installed_with_apt() -> bool:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    sys.stdout.write("Installing Chromium for the browser tests …\n")
    sys.stdout.flush()
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    for command in (["apt-get", "update", "-qq"], install):
        subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
    return find() is not None


if __name__ == "__main__":
    provide()
