"""The WSGI application that gunicorn serves."""

import gc
import os
import socket
import struct
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xrayportal.settings")
_portal = get_wsgi_application()
# Every view, before gunicorn forks: its processes share the code, and no first visitor waits for it.
import_module(settings.ROOT_URLCONF)
# What is there now stays: the collector leaves it alone, so that it goes on being shared, and a process that
# ends does not pick it to pieces.
gc.collect()
gc.freeze()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The portal, which waits for a sender who went silent no longer than ``SILENCE_SECONDS``.

    gunicorn's threads would wait for ever: a laptop that is closed while it sends keeps one.
    """
    connection = environ.get("gunicorn.socket")
    if connection is not None:
        patience = struct.pack("ll", settings.SILENCE_SECONDS, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    return _portal(environ, start_response)
