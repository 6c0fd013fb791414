"""The receiving side: one socket for all clinics, C-ECHO and C-STORE."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import Error, close_old_connections
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import time
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from inference_worker.dicom_attributes import DECODERS
from inference_worker.projections import PROJECTION_CLASSES
from xrayportal.clinics.actors import Actor
from xrayportal.dicom import statuses
from xrayportal.dicom.admission import Admission, NotAdmittedError, admit
from xrayportal.dicom.receive import receive

logger = logging.getLogger(__name__)

# pynetdicom quotes what it receives in its logs, and those are patients' data.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
_config.LOG_HANDLER_LEVEL = "none"

#: Fewer and larger pieces: the default of 16 KB costs three times the processor time.
MOST_PDU_BYTES = 131_072
MOST_ASSOCIATIONS = 20
#: Connections, with those that have not said yet who they are: each has two threads that look around for it.
MOST_CONNECTIONS = 5 * MOST_ASSOCIATIONS
#: Of one address; the associations among them that are too many are told so.
MOST_NEAR = 2 * MOST_ASSOCIATIONS
#: A longer piece is none that the other side may send: an association is asked for in a few kilobytes.
LONGEST_PDU_BYTES = 2 * MOST_PDU_BYTES
#: A command holds a dozen short elements; one that was cut here is no command, and ends the association.
MOST_COMMAND_BYTES = 64 * 1024
#: The other side may be silent for so long, between messages and within one.
SILENT_SECONDS = 60
#: In this time a connection is to become an association.
ASSOCIATE_SECONDS = 15
#: Files that are stored at once: each holds a connection to the database and a file in memory.
_STORING = 4
_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, *DECODERS]
# PS3.8, table 9-21.
_PERMANENT, _TRANSIENT = 0x01, 0x02
_BY_USER, _BY_PROVIDER, _CONGESTION = 0x01, 0x03, 0x01

P = ParamSpec("P")
R = TypeVar("R")


class Receiver:
    """Listens at one port and stores what admitted callers send; over TLS with a ``context``.

    Raises OSError where the port is taken.
    """

    def __init__(self, address: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._over_tls = context is not None
        self._pool = ThreadPoolExecutor(_STORING, thread_name_prefix="dicom-store")
        self._admissions: dict[Association, Admission] = {}
        ae = AE()
        ae.maximum_pdu_size = MOST_PDU_BYTES
        ae.maximum_associations = MOST_ASSOCIATIONS
        ae.network_timeout = ae.dimse_timeout = SILENT_SECONDS
        ae.acse_timeout = ASSOCIATE_SECONDS
        ae.add_supported_context(Verification)
        for storage_class in sorted(PROJECTION_CLASSES - {""}):
            ae.add_supported_context(storage_class, _SYNTAXES)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_DATA_RECV, _bound),
            (evt.EVT_CONN_CLOSE, self._on_close),
        ]
        self._ae = ae
        self._server = ae.make_server(
            (address, port),
            evt_handlers=handlers,
            ssl_context=context,
            server_class=_Server,
            request_handler=_Handler,
        )
        ae._servers.append(self._server)
        threading.Thread(target=self._server.serve_forever, name="dicom-accept", daemon=True).start()

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self._server.server_address[1])

    @property
    def associations(self) -> int:
        """How many admitted callers are connected."""
        return len(self._admissions)

    def stop(self) -> None:
        """Take no more and abort what is on its way; what is being stored just now is still committed."""
        self._server.shutdown()
        for association in self._ae.active_associations:
            if association.is_established:
                association.abort()
        self._pool.shutdown(wait=True)

    def _on_request(self, event: evt.Event) -> None:
        """Find out who calls, and reject strangers before anything else is said."""
        association = event.assoc
        request: Any = association.requestor.primitive
        address = association.requestor.address
        called, calling = request.called_ae_title, request.calling_ae_title
        try:
            admission = self._in_pool(
                admit, called=called, calling=calling, address=address, over_tls=self._over_tls
            )
        except NotAdmittedError as refusal:
            logger.warning("Association of %s with %s from %s rejected", calling, called, address)
            _reject(association, _PERMANENT, _BY_USER, refusal.reason)
        except Error as error:
            logger.warning("Association rejected, the database is away: %s", type(error).__name__)
            _reject(association, _TRANSIENT, _BY_PROVIDER, _CONGESTION)
        except Exception:  # pynetdicom would accept it
            logger.exception("Association rejected")
            _reject(association, _TRANSIENT, _BY_PROVIDER, _CONGESTION)
        else:
            self._admissions[association] = admission

    def _on_store(self, event: evt.Event) -> Dataset:
        """Store one object; the answer leaves after the commit."""
        admission = self._admissions[event.assoc]
        try:
            data = event.encoded_dataset()
            status = self._in_pool(_store, admission, data)
        except (OSError, Error, MemoryError) as error:
            logger.warning("A received object could not be stored: %s", type(error).__name__)
            status = statuses.status_of_error(error)
        except Exception:
            logger.exception("A received object could not be stored")
            status = statuses.PROCESSING_FAILURE
        answer = Dataset()
        answer.Status = status
        if status != statuses.SUCCESS:
            answer.ErrorComment = statuses.comment_of(status)
        return answer

    def _on_close(self, event: evt.Event) -> None:
        self._admissions.pop(event.assoc, None)

    def _in_pool(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function that needs the database in one of few threads, which keep their connections."""
        return self._pool.submit(lambda: _with_connection(function, *args, **kwargs)).result()


def _with_connection(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    close_old_connections()
    return function(*args, **kwargs)


def _store(admission: Admission, data: bytes) -> int:
    sender = admission.caller.ae_title
    upload = receive(
        clinic=admission.clinic,
        sender=sender,
        queue=admission.caller.queue,
        actor=Actor(name=f"DICOM {sender}", address=admission.address),
        data=data,
    )
    return statuses.status_of(upload)


def _reject(association: Association, result: int, source: int, reason: int) -> None:
    association.acse.send_reject(result, source, reason)
    association.kill()  # which waits until the answer has left


class _Full(BytesIO):
    """What is larger than what is taken: what still comes is read and dropped."""

    def write(self, data: Any, /) -> int:
        return len(data)


def _bound(event: evt.Event) -> None:
    """Keep no more of a message in memory than it takes to see that it is too large."""
    message = event.assoc.dimse.message
    if message is None:
        return
    if message.data_set is not None:
        message.data_set = _bounded(message.data_set, settings.UPLOAD_MAX_BYTES)
    message.encoded_command_set = _bounded(message.encoded_command_set, MOST_COMMAND_BYTES)


def _bounded(received: BytesIO, most: int) -> BytesIO:
    is_over = not isinstance(received, _Full) and received.tell() > most
    return _Full(received.getvalue()) if is_over else received


class _Socket(AssociationSocket):
    """As pynetdicom's, but it reads what there is, not 4 KB at a time, which took a third of receiving."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes; fewer where the connection ended.

        Raises OSError for a piece that is longer than any may be, since its six first bytes may announce four
        gigabytes, and for one that trickles in.
        """
        connection: Any = self.socket
        if nr_bytes > LONGEST_PDU_BYTES:
            self.close()
            raise OSError("The announced PDU is too long.")
        received = bytearray(nr_bytes)
        view, at = memoryview(received), 0
        until = time.monotonic() + SILENT_SECONDS
        while at < nr_bytes:
            connection.settimeout(max(0.001, until - time.monotonic()))
            count = connection.recv_into(view[at:])
            if not count:
                return received[:at]
            at += count
        return received


class _Handler(RequestHandler):
    """Gives every association a `_Socket`; pynetdicom has no other place to choose one."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        made: Any = association.dul.socket
        made.__class__ = _Socket
        return association


class _Server(ThreadedAssociationServer):
    """As pynetdicom's, but a silent peer holds neither the other callers nor its own thread for ever."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether one more connection from this address is taken; the others' are left their places."""
        there = self.active_associations
        near = sum(one.requestor.address == client_address[0] for one in there)
        return near < MOST_NEAR and len(there) < MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin with the connection, in two threads of its own; a third to start those would only race."""
        self.process_request_thread(request, client_address)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its TLS handshake is left to its own thread."""
        listening: Any = self.socket
        connection, address = listening.accept()
        connection.settimeout(SILENT_SECONDS)
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address
