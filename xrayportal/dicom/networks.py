"""Where results may go: only to networks that the portal's operator lists.

A clinic's admin writes the address of a destination. Without this list they could make the portal speak to
whatever it can reach.
"""

from __future__ import annotations

import ipaddress
import socket

from django.conf import settings


class NotPermittedError(Exception):
    """The destination is in none of the listed networks; ``str(error)`` is its address."""


def permitted_address(host: str, port: int) -> str:
    """Resolve a destination to an address that may be connected to; the caller connects to that very address.

    Raises `NotPermittedError`, and OSError where the name is unknown.
    """
    networks = [ipaddress.ip_network(network.strip()) for network in settings.DICOM_DESTINATION_NETWORKS]
    found = ""
    for *_kind, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        found = str(where[0])
        address = ipaddress.ip_address(found.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in networks):
            return found
    raise NotPermittedError(found)
