"""Settings for steps that need no server: type checks, and ``collectstatic`` while an image is built."""

from __future__ import annotations

import os

os.environ.setdefault("SECRET_KEY", "only-for-steps-that-serve-nobody-and-ask-no-server")
os.environ.setdefault("DATABASE_URL", "postgres://portal@127.0.0.1/portal")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1/0")

from xrayportal.settings import *  # noqa: F403  the settings are these, with the placeholders above
