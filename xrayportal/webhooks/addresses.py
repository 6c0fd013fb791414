"""Where webhooks may go: to public addresses, and to networks that the operator lists.

A clinic's admin writes the address. Without this rule they could make the portal speak to whatever it can
reach: databases, routers, the metadata service of a cloud. A name is resolved once, and the connection is
made to the very address that was judged: a name which answers otherwise the second time gains nothing.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from xrayportal.hosts import addresses_of, parse_address

#: All that IPv6 has given out to the public; beside it lie old forms that a network may still lead inside:
#: ``fec0::1``, ``::10.0.0.1``.
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
#: IPv6 networks whose addresses hold an IPv4 address: a gateway may lead to a private one.
_TRANSLATING = tuple(ipaddress.ip_network(network) for network in ("2002::/16", "2001::/32"))
#: A name may have a hundred addresses, none of which answers.
_MOST_TRIED = 4


class NotPermittedError(Exception):
    """The address is not one that webhooks may go to; ``code`` says why, for the log and the form."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def check_url(url: str) -> SplitResult:
    """The parts of an address that has the right form. Raises `NotPermittedError`.

    Plain HTTP is for networks that the operator lists: elsewhere anybody on the way could read it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotPermittedError("malformed") from None
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname or port == 0:
        raise NotPermittedError("malformed")
    if parts.scheme not in ("https", "http"):
        raise NotPermittedError("scheme")
    if parts.scheme == "http" and not settings.WEBHOOK_NETWORKS:
        raise NotPermittedError("scheme")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise NotPermittedError("malformed")
    return parts


def permitted_addresses(host: str, port: int, *, is_plain: bool) -> list[str]:
    """The addresses of a host that may be connected to, at least one of them.

    ``is_plain``: without TLS, so that only listed networks count. Raises `NotPermittedError`, and OSError
    where the name is unknown.
    """
    found = addresses_of(host, port)
    permitted = [address for address in found if _is_permitted(address, is_plain=is_plain)]
    if not permitted:
        raise NotPermittedError("private-address")
    return permitted


class Connection(http.client.HTTPConnection):
    """A connection to one of the ``addresses`` that were judged; the name is never resolved again."""

    def __init__(self, parts: SplitResult, addresses: list[str], timeout: float) -> None:
        is_plain = parts.scheme == "http"
        port = parts.port or (80 if is_plain else 443)
        super().__init__(parts.hostname or "", port, timeout=timeout)
        self._addresses = addresses
        self._tls = None if is_plain else ssl.create_default_context(cafile=settings.WEBHOOK_CA or None)

    def connect(self) -> None:
        """Connect to the first address that answers, all within the time-out; TLS checks the name.

        Raises OSError.
        """
        error: OSError | None = None
        until = time.monotonic() + (self.timeout or 0.0)
        tried = self._addresses[:_MOST_TRIED]
        for left, address in zip(range(len(tried), 0, -1), tried, strict=True):
            try:
                patience = max(0.01, until - time.monotonic()) / left
                self.sock = socket.create_connection((address, self.port), patience)
                self.sock.settimeout(self.timeout)
                break
            except OSError as refused:
                error = refused
        else:
            raise error or OSError("no address")
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)

    def abort(self) -> None:
        """End the connection from another thread: whoever waits for its bytes waits no longer."""
        if self.sock is not None:
            with suppress(OSError):  # it has ended already
                self.sock.shutdown(socket.SHUT_RDWR)


def _is_permitted(text: str, *, is_plain: bool) -> bool:
    address = parse_address(text)
    listed = (ipaddress.ip_network(network.strip()) for network in settings.WEBHOOK_NETWORKS)
    if any(address in network for network in listed):
        return True
    if is_plain or any(address in network for network in _TRANSLATING):
        return False
    is_given_out = address.version == 4 or address in _PUBLIC_IPV6
    return is_given_out and address.is_global and not address.is_multicast
