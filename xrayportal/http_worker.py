"""gunicorn's threaded worker with threads set apart: nobody who sends slowly or signs in keeps pages waiting.

gunicorn gives a thread to a connection as soon as it is there. Here the main loop gathers a request's head,
and a short body, without a thread; then the request goes to the threads of its kind. So uploads wait for
uploads, sign-ins, which are slow on purpose, for sign-ins, and a probe for nobody.
"""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from selectors import EVENT_READ
from typing import Any
from urllib.parse import unquote_to_bytes

from gunicorn import http
from gunicorn.util import split_request_uri
from gunicorn.workers.gthread import TConn, ThreadWorker

PAGE, SENDER, SIGN_IN, LIVENESS, STATUS = "page", "sender", "sign-in", "liveness", "status"
#: Longer bodies are uploads: a thread reads them as they come.
SHORT_BODY = 64 * 1024
_LONGEST_HEAD = 64 * 1024
#: Where passwords are hashed, which takes a fifth of a second of a processor each time.
HASHING = (
    *(b"/sign-in/", b"/password/", b"/confirm/", b"/invitations/"),
    *(b"/second-factor/open/", b"/admin/login/"),
)
_STATUS = (b"/readyz", b"/statusz", b"/metrics")
#: An answered connection is closed after this long, or when the other side has sent so many bytes more.
LINGER_SECONDS = 2.0
_MOST_DROPPED = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([^\r]*?)[ \t]*\r\n", re.IGNORECASE)
#: Leading zeros change nothing for gunicorn.
_NUMBER = re.compile(rb"0*(\d{1,18})")
_PLAIN_PATH = re.compile(rb"/[\w./-]*")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


def lane_of(gathered: bytes) -> str | None:
    """The threads that a request is for; None while its head, or its short body, is not whole yet."""
    end = gathered.find(_END_OF_HEAD)
    if end < 0:
        return PAGE if len(gathered) > _LONGEST_HEAD else None  # gunicorn refuses it
    head = gathered[: end + 2]
    if _CHUNKED.search(head):
        return SENDER
    length = 0
    if said := _LENGTH.search(head):
        number = _NUMBER.fullmatch(said[1])
        if number is None:
            return SENDER  # gunicorn refuses it, or a body of that length never ends
        length = int(number[1])
    if length > SHORT_BODY:
        return SENDER
    if length > len(gathered) - end - len(_END_OF_HEAD):
        return None
    method, _, rest = gathered.partition(b" ")
    path = _path_of(rest.partition(b" ")[0])
    if path == b"/healthz":
        return LIVENESS
    if path in _STATUS:
        return STATUS
    return SIGN_IN if method == b"POST" and path.startswith(HASHING) else PAGE


def _path_of(target: bytes) -> bytes:
    """The path as views get it, whatever way it is written in: ``/%73ign-in/``, ``http://name/sign-in/``."""
    path = target.partition(b"?")[0]
    if _PLAIN_PATH.fullmatch(path):
        return path
    try:
        return unquote_to_bytes(split_request_uri(target.decode("latin-1")).path)
    except ValueError:  # gunicorn refuses it
        return b""


class Lanes:
    """Threads by kind of request, in place of gunicorn's one pool."""

    def __init__(self, threads: int) -> None:
        sizes = {PAGE: threads, SENDER: max(1, threads - 1), SIGN_IN: 1, LIVENESS: 1, STATUS: 1}
        self._pools = {lane: ThreadPoolExecutor(size, lane) for lane, size in sizes.items()}

    def submit(self, handle: Any, connection: Any, lane: str = PAGE) -> Future[Any]:
        """Have a thread of this kind handle the connection's request."""
        return self._pools[lane].submit(handle, connection)

    def shutdown(self, wait: bool = True) -> None:
        """End all threads once they have nothing to do."""
        for pool in self._pools.values():
            pool.shutdown(wait)


class LaneWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """``--worker-class xrayportal.http_worker.LaneWorker``; ``--threads`` is the number for pages."""

    def get_thread_pool(self) -> Lanes:
        """One pool for each kind of request."""
        return Lanes(self.cfg.threads)

    def enqueue_req(self, conn: TConn) -> None:
        """In the main loop: take what has come, and give the request to a thread once it is whole."""
        if self.cfg.is_ssl or conn.is_http2:
            super().enqueue_req(conn)
            return
        if getattr(conn, "is_answered", False):
            self._linger(conn)
            return
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        unreader = conn.parser.unreader
        gathered = bytearray(unreader.take_buffered())
        is_new = not gathered
        is_closed = self._receive(conn, gathered)
        lane = lane_of(bytes(gathered))
        unreader.unread(bytes(gathered))
        if lane is not None:
            conn.data_ready = True
            future = self.tpool.submit(self.handle, conn, lane)
            future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))
        elif is_closed:
            self._forget(conn)
        else:
            # A head, and a short body, may take as long as a kept connection may be silent.
            self._wait(conn, self.cfg.keepalive if is_new else None)

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Keep the connection, or close it; gunicorn's main loop would wait for the other side to do so."""
        is_plain = not self.cfg.is_ssl and not conn.is_http2
        if is_plain and not fs.cancelled() and fs.exception() is None and not fs.result():
            conn.is_answered = True
            self._linger(conn)
        else:
            super().finish_request(conn, fs)

    def _linger(self, conn: TConn) -> None:
        """Let the other side take the answer and close first; what it still sends is dropped (RFC 9112)."""
        is_new = not hasattr(conn, "dropped")
        try:
            if is_new:
                conn.dropped = 0
                conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            while received := conn.sock.recv(16 * 1024):
                conn.dropped += len(received)
                if conn.dropped > _MOST_DROPPED:
                    break
            self._forget(conn)
        except (BlockingIOError, InterruptedError):
            self._wait(conn, LINGER_SECONDS if is_new else None)
        except OSError:
            self._forget(conn)

    def _receive(self, conn: TConn, gathered: bytearray) -> bool:
        """Add what lies in the socket; whether the other side has closed it."""
        conn.sock.setblocking(False)
        most = _LONGEST_HEAD + SHORT_BODY
        try:
            while len(gathered) <= most:
                received = conn.sock.recv(16 * 1024)
                if not received:
                    return True
                gathered += received
                if lane_of(bytes(gathered)) is not None:
                    return False
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return False

    def _wait(self, conn: TConn, seconds: float | None) -> None:
        """Leave the connection to the poller until more comes, for so many seconds from now or as before."""
        now = time.monotonic()
        if seconds is not None:
            conn.timeout = now + seconds
        if now > conn.timeout:
            self._forget(conn)
            return
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _forget(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()
