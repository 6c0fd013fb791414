"""gunicorn with our worker: whoever sends slowly or signs in keeps nobody else waiting."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.waiting import PATIENCE
from xrayportal.embedded.ports import choose_port
from xrayportal.embedded.processes import wait_until
from xrayportal.http_worker import LIVENESS, PAGE, SENDER, SIGN_IN, STATUS, lane_of

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that the server waits for slow senders: far longer than these tests wait for an answer.
LONG = 10 * PATIENCE


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that waits for slow senders."""
    with served(keepalive=LONG) as port:
        yield port


@contextmanager
def served(*, keepalive: int) -> Iterator[int]:
    """One process with two threads for pages, and its port."""
    port = choose_port()
    command = [sys.executable, "-m", "gunicorn", "tests.health.slow_app", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "xrayportal.http_worker.LaneWorker", "--workers", "1", "--threads", "2"]
    command += ["--keep-alive", str(keepalive), "--config", "/dev/null", "--no-control-socket"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            assert wait_until(lambda: answers(port), seconds=PATIENCE)
            yield port
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        return get(port, "/healthz") == "/healthz 0"
    except OSError:
        return False


def get(port: int, path: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def assert_pages_and_probes_are_answered(port: int) -> None:
    for path in ("/page", "/healthz", "/statusz"):
        assert get(port, path) == f"{path} 0"


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /page HTT",
        b"POST /sign-in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        b"POST /c/north/upload/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf",
        b"POST /c/north/upload/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /language/ HTTP/1.1\r\nHost: x\r\nContent-Length: %s100\r\n\r\nhalf" % (b"0" * 20),
    ],
    ids=["nothing", "half a head", "half a form", "half a file", "no chunk", "a length with zeros"],
)
def test_slow_senders(port: int, beginning: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(beginning)
        assert_pages_and_probes_are_answered(port)


def test_many_sign_ins(port: int) -> None:
    """None of them ends before the pages have been answered."""

    def sign_in() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)) as connection:
            connection.request("POST", "/sign-in/", body=b"x" * 100)
            assert connection.getresponse().read() == b"/sign-in/ 100"

    threads = [threading.Thread(target=sign_in) for _ in range(10)]
    for thread in threads:
        thread.start()
    assert_pages_and_probes_are_answered(port)
    assert get(port, "/let-in") == "/let-in 0"
    for thread in threads:
        thread.join()


def test_who_does_not_take_the_answer(port: int) -> None:
    """Their connections stay open; a main loop that waits for each of them answers too late."""
    with ExitStack() as stack:
        for _ in range(PATIENCE):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert_pages_and_probes_are_answered(port)


def test_a_head_that_trickles_is_given_up() -> None:
    with served(keepalive=1) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        for _ in range(10 * PATIENCE):
            try:
                slow.sendall(b"G")
            except OSError:
                return
            time.sleep(0.1)
    pytest.fail("it may go on for ever")


@pytest.mark.parametrize("size", [0, 1, 60_000, 65_536, 65_537, 3_000_000])
def test_bodies_arrive_whole_and_connections_are_kept(port: int, size: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        for number in range(3):
            connection.request("POST", f"/page/{number}", body=b"x" * size)
            assert connection.getresponse().read() == f"/page/{number} {size}".encode()


def test_chunks_arrive_whole(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("POST", "/page", body=iter([b"x" * 1000] * 100), encode_chunked=True)
        assert connection.getresponse().read() == b"/page 100000"


def test_requests_in_one_packet_and_in_many(port: int) -> None:
    one = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(one * 3)
        assert received(connection, 3) == 3
        for byte in one:
            connection.sendall(bytes([byte]))
        assert received(connection, 1) == 1


def received(connection: socket.socket, count: int) -> int:
    """How many answers have come, once there are ``count`` of them."""
    content = b""
    while content.count(b"/page 0") < count:
        content += connection.recv(4096)
    return content.count(b"/page 0")


@pytest.mark.parametrize(
    ("request_", "lane"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", LIVENESS),
        (b"GET /statusz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", STATUS),
        (b"GET /sign-in/ HTTP/1.1\r\nHost: x\r\n\r\n", PAGE),
        (b"POST /sign-in/?next=/ HTTP/1.1\r\ncontent-length: 1\r\n\r\na", SIGN_IN),
        (b"POST /sign-in/ HTTP/1.1\r\nContent-Length: 2\r\n\r\na", None),
        (b"POST /%73ign-in/ HTTP/1.1\r\n\r\n", SIGN_IN),
        (b"POST /sign-\tin/ HTTP/1.1\r\n\r\n", SIGN_IN),
        (b"POST http://x\xe9/sign-in/ HTTP/1.1\r\n\r\n", SIGN_IN),
        (b"GET http://[/ HTTP/1.1\r\n\r\n", PAGE),
        (b"POST / HTTP/1.1\r\nContent-Length: 000000000000000000000002\r\n\r\na", None),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\na", SENDER),
        (b"POST / HTTP/1.1\r\nContent-Length: +2\r\n\r\na", SENDER),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", SENDER),
        (b"GET / HTTP/1.1\r\nX-Content-Length: 9\r\n\r\n", PAGE),
        (b"nonsense\r\n\r\n", PAGE),
        (b"x" * 70_000, PAGE),
    ],
)
def test_lanes(request_: bytes, lane: str | None) -> None:
    assert lane_of(request_) == lane
