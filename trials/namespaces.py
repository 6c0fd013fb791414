"""Hosts out of network namespaces, joined by a switch. Needs root, and ``ip`` (Debian's iproute2)."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from trials.errors import TrialError

PREFIX = "xray-trial-"
NETWORK = "10.77.231."
HOSTS = {"web": f"{NETWORK}2", "store": f"{NETWORK}3", "worker-a": f"{NETWORK}4", "worker-b": f"{NETWORK}5"}


@contextmanager
def network() -> Iterator[None]:
    """The hosts and a switch between them, each a namespace."""
    names = [*HOSTS, "switch"]
    _remove(names)
    try:
        for name in names:
            run("ip", "netns", "add", PREFIX + name)
            run("ip", "link", "set", "lo", "up", host=name)
        run("ip", "link", "add", "bridge", "type", "bridge", host="switch")
        run("ip", "link", "set", "bridge", "up", host="switch")
        for name, address in HOSTS.items():
            ends = ("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", PREFIX + name)
            run("ip", *ends, host="switch")
            run("ip", "link", "set", name, "master", "bridge", "up", host="switch")
            run("ip", "addr", "add", f"{address}/24", "dev", "eth0", host=name)
            run("ip", "link", "set", "eth0", "up", host=name)
        yield
    finally:
        _remove(names)


def _remove(names: list[str]) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "del", PREFIX + name], capture_output=True, check=False)


@contextmanager
def inside(host: str) -> Iterator[None]:
    """Let this thread, and what it starts, be on that host."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{PREFIX}{host}") as there:  # noqa: PTH123
        _enter(libc, there.fileno())
        try:
            yield
        finally:
            _enter(libc, here.fileno())


def run(*command: str, host: str = "", text: str = "") -> None:
    """Run a command, on a host if one is named, with ``text`` as its input. Raises `TrialError`."""
    prefix = ["ip", "netns", "exec", PREFIX + host] if host else []
    done = subprocess.run([*prefix, *command], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrialError(f"{' '.join(command[:5])}: {done.stderr.strip()}")


def _enter(libc: ctypes.CDLL, handle: int) -> None:
    kind = 0x40000000  # CLONE_NEWNET
    if libc.setns(handle, kind):
        raise OSError(ctypes.get_errno(), "setns")
