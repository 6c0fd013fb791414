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
# The garbage collector leaves alone what is loaded now, so that processes go on sharing its memory and do
# not take it apart when they end.
gc.collect()
gc.freeze()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The portal, which gives a request up when its sender is silent for ``SILENCE_SECONDS``.

    gunicorn's threads would wait for ever: a laptop that is closed while it sends would keep one.
    """
    connection = environ.get("gunicorn.socket")
    if connection is not None:
        patience = struct.pack("ll", settings.SILENCE_SECONDS, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    return _portal(environ, start_response)
