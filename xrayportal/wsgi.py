"""The WSGI application that gunicorn serves."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xrayportal.settings")
application = get_wsgi_application()
# Every view, before gunicorn forks: its processes share the code, and no first visitor waits for it.
import_module(settings.ROOT_URLCONF)
# What is there now stays: the collector leaves it alone, so that it goes on being shared, and a process that
# ends does not pick it to pieces.
gc.collect()
gc.freeze()
