"""Addresses of hosts: what a name stands for, and one form of each address."""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, each once, in the order in which to try them.

    Raises `socket.gaierror` where the name is unknown, also for a text that cannot be a name.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "This is no host name.") from error
    return list(dict.fromkeys(str(where[0]) for *_kind, where in found))


def parse_address(text: str) -> Address:
    """The IP address in the one form that is stored and compared. Raises ValueError for any other text.

    An IPv4 address inside IPv6 is the IPv4 address; a link-local one is without its zone, which PostgreSQL
    does not take.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
