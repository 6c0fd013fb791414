"""Messages between a worker and its decoding child: a JSON header and a body of bytes, over a Unix socket.

A record of `inference_worker.types` travels as its fields in the header and its arrays in the body.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker import types

#: Bytes of the header and of the body that follow.
_LENGTHS = struct.Struct("<IQ")
_MOST_HEADER = 1024 * 1024
_RECORDS = {name: kind for name, kind in vars(types).items() if isinstance(kind, type) and is_dataclass(kind)}
_DTYPES = ("uint8", "uint16")


class WireError(Exception):
    """The other side closed the connection or sent what is no message."""


def send(
    connection: socket.socket, header: dict[str, Any], body: Sequence[bytes | NDArray[Any]] = ()
) -> None:
    """Send one message, the parts of ``body`` as one. Raises OSError where the other side is gone."""
    encoded = json.dumps(header).encode()
    parts = [part if isinstance(part, bytes) else np.ascontiguousarray(part).data.cast("B") for part in body]
    length = sum(memoryview(part).nbytes for part in parts)
    connection.sendall(_LENGTHS.pack(len(encoded), length) + encoded)
    for part in parts:
        connection.sendall(part)


def receive(connection: socket.socket, most: int) -> tuple[dict[str, Any], bytearray]:
    """Receive one message with a body of at most ``most`` bytes. Raises `WireError`, OSError."""
    header_length, body_length = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if header_length > _MOST_HEADER or body_length > most:
        raise WireError("a message longer than allowed")
    try:
        header = json.loads(bytes(_exactly(connection, header_length)))
    except ValueError as error:
        raise WireError("a header that is no JSON") from error
    if not isinstance(header, dict):
        raise WireError("a header that is no object")
    return header, _exactly(connection, body_length)


def packed(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """A record (or a field of one) as JSON; its arrays are added to ``arrays``, in their order."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": value.dtype.name, "shape": value.shape}
    if is_dataclass(value):
        values = {field.name: packed(getattr(value, field.name), arrays) for field in fields(value)}
        return {"record": type(value).__name__, "fields": values}
    return value


def unpacked(value: Any, body: memoryview) -> tuple[Any, memoryview]:
    """The value of `packed`, and the rest of the body. Raises `WireError` for what no sound child sends."""
    try:
        if isinstance(value, dict) and "array" in value:
            if value["array"] not in _DTYPES:
                raise WireError("an array of another type")
            dtype, shape = np.dtype(value["array"]), [int(side) for side in value["shape"]]
            count = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(body, dtype, count).reshape(shape)
            return array, body[array.nbytes :]
        if isinstance(value, dict):
            values = {}
            for name, inner in value["fields"].items():
                values[name], body = unpacked(inner, body)
            return _RECORDS[value["record"]](**values), body
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError("a record that is none") from error
    return (tuple(value) if isinstance(value, list) else value), body


def _exactly(connection: socket.socket, count: int) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        received = connection.recv_into(view)
        if not received:
            raise WireError("the connection was closed")
        view = view[received:]
    return buffer
