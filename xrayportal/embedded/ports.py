"""Ports on loopback."""

from __future__ import annotations

import random
import socket

#: Below the kernel's ephemeral range (32768 and up): no outgoing connection borrows a remembered port.
_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_port() -> int:
    """A free port. Random, so that portals that start at the same moment do not choose the same one."""
    return next(port for port in iter(lambda: random.choice(_RANGE), None) if is_free(port))  # noqa: S311  no secret
