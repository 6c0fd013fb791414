"""Where results may go: only to networks that the portal's operator lists.

A clinic's admin writes the address of a destination. Without this list they could make the portal speak to
whatever it can reach.
"""

from __future__ import annotations

import ipaddress

from django.conf import settings

from xrayportal.hosts import addresses_of, parse_address


class NotPermittedError(Exception):
    """The destination is in none of the listed networks; ``str(error)`` is its address."""


def permitted_address(host: str, port: int) -> str:
    """Resolve a destination to an address that may be connected to; the caller connects to that very address.

    Raises `NotPermittedError`, and OSError where the name is unknown.
    """
    networks = [ipaddress.ip_network(network.strip()) for network in settings.DICOM_DESTINATION_NETWORKS]
    found = ""
    for found in addresses_of(host, port):
        address = parse_address(found)
        if any(address in network for network in networks):
            return found
    raise NotPermittedError(found)
