"""The WSGI application that gunicorn serves."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xrayportal.settings")
application = get_wsgi_application()
# Every view, before gunicorn forks: its processes share the code, and no first visitor waits for it.
import_module(settings.ROOT_URLCONF)
