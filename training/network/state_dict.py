"""Reads the arrays of a PyTorch state dict (``.pth``) without PyTorch, and without running anything in it.

Such a file holds pickles, and a pickle may call any function there is. Here it may call those that make an
ordered dict, a tensor and a parameter. Both forms that ``torch.save`` has written are read: the ZIP of
version 1.6 and later, and the row of pickles before it, in which torchvision's older files still are.
The forms are those of ``torch/serialization.py`` and ``torch/_utils.py``.
"""

from __future__ import annotations

import collections
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: What a storage class's values are in the file; PyTorch writes them as this machine's own, little-endian.
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
#: The first pickle of the older form.
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class StateDictError(ValueError):
    """The file is no state dict that can be read; the text is one sentence without the file's name."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a tensor's values lie: ``key`` names them in the file, ``code`` is their dtype."""

    key: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, counted in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, flat: Array) -> Array:
        """The values, copied out of the storage's ``flat`` ones; ``StateDictError`` if they do not fit."""
        reach = sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if self.offset < 0 or min((0, *self.shape, *self.strides)) < 0:
            raise StateDictError("a tensor in it has a negative size.")
        if math.prod(self.shape) and self.offset + reach >= len(flat):
            raise StateDictError("a tensor in it reaches beyond its values.")
        strides = [step * flat.itemsize for step in self.strides]
        view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, strides, writeable=False)
        return np.array(view)


def read_state_dict(path: Path) -> dict[str, Array]:
    """Every tensor of the state dict in ``path`` by its name, as arrays of the same shape and dtype.

    Raises ``StateDictError`` for a file that is damaged, or holds or asks for anything else, and
    ``OSError`` for one that cannot be opened.
    """
    try:
        with path.open("rb") as file:
            document, flats = _zipped(file) if zipfile.is_zipfile(file) else _in_a_row(file)
        return {name: tensor.array(flats[tensor.storage.key]) for name, tensor in _tensors(document).items()}
    except StateDictError:
        raise
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, EOFError, AttributeError, IndexError, KeyError, TypeError,
        ValueError, OverflowError,
    ) as error:  # fmt: skip
        # What the unpickler and the ZIP reader raise on damaged bytes is no closed list of their own types.
        raise StateDictError(f"it is no PyTorch state dict, or damaged ({type(error).__name__}).") from error


class _Unpickler(pickle.Unpickler):
    """Knows the few names that a state dict needs, and refuses all others."""

    def __init__(self, file: IO[bytes]) -> None:
        # Files from Python 2 hold their names as byte strings.
        super().__init__(file, encoding="utf-8")

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise StateDictError(
                f"it asks for {module}.{name}, which no state dict needs; only tensors are read."
            ) from None

    def persistent_load(self, pid: Any) -> Storage:
        """``("storage", type, key, device, count, …)``; the older form adds a view, which is always empty."""
        kind, code, key, _, count, *view = pid
        if kind != "storage" or code not in STORAGES.values() or any(part is not None for part in view):
            raise StateDictError("it holds a storage of an unknown kind.")
        return Storage(str(key), code, int(count))


def _tensor(storage: Any, offset: int, size: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise StateDictError("it holds a tensor without a storage.")
    return Tensor(storage, int(offset), tuple(map(int, size)), tuple(map(int, strides)))


def _parameter(data: Any, *_: Any) -> Any:
    return data


_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


def _tensors(document: Any) -> dict[str, Tensor]:
    if not isinstance(document, dict):
        raise StateDictError("it holds no state dict but something else.")
    strange = [str(name) for name, value in document.items() if not isinstance(value, Tensor)]
    if strange:
        raise StateDictError(f"{strange[0]} in it is no tensor: save the state dict of the network alone.")
    return {str(name): value for name, value in document.items()}


def _zipped(file: IO[bytes]) -> tuple[Any, dict[str, Array]]:
    """``NAME/data.pkl`` and one member ``NAME/data/KEY`` for each storage."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise StateDictError("it is a ZIP, but not one that torch.save wrote.")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise StateDictError("it was written on a big-endian machine.")
        with archive.open(names[0]) as member:
            document = _Unpickler(member).load()
        storages = {tensor.storage for tensor in _tensors(document).values()}
        return document, {own.key: _flat(own, archive.read(f"{folder}data/{own.key}")) for own in storages}


def _in_a_row(file: IO[bytes]) -> tuple[Any, dict[str, Array]]:
    """Pickles of magic number, version, machine, dict and keys; then each key's count and values."""
    file.seek(0)
    if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != PROTOCOL:
        raise StateDictError("it is no file of PyTorch's.")
    if not _Unpickler(file).load().get("little_endian"):
        raise StateDictError("it was written on a big-endian machine.")
    document, keys = _Unpickler(file).load(), _Unpickler(file).load()
    storages = {tensor.storage.key: tensor.storage for tensor in _tensors(document).values()}
    flats: dict[str, Array] = {}
    for key in keys:
        own = storages[str(key)]
        if int.from_bytes(file.read(8), "little") != own.count:
            raise StateDictError("a storage in it has another length than its tensors say.")
        flats[own.key] = _flat(own, file.read(own.count * np.dtype(own.code).itemsize))
    return document, flats


def _flat(storage: Storage, values: bytes) -> Array:
    if len(values) != storage.count * np.dtype(storage.code).itemsize:
        raise StateDictError("it ends before its values do.")
    return np.frombuffer(values, storage.code)
