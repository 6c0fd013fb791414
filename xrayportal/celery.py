"""The Celery application and every number that bounds a task, in one place."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xrayportal.settings")

app = Celery("xrayportal")
