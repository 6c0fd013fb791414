"""The decoders, in the child that workers use."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from inference_worker.decode.isolated import TOO_SLOW, DecodeProcess
from inference_worker.decode.limits import Limits
from inference_worker.types import UnreadableError
from tests.fuzz.running import MOST_SECONDS, FailedError
from tests.fuzz.seeds import seeds


class Decoders:
    """A `Subject`: every file is decoded."""

    def __init__(self) -> None:
        self.sources = seeds()
        self._process = DecodeProcess(Limits(seconds=MOST_SECONDS))

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.end()

    @property
    def pid(self) -> int | None:
        """The child's number."""
        return self._process.pid

    def take(self, name: str, data: bytes) -> str:
        """Decode one file: "read", or the kind of its refusal. Raises `FailedError`."""
        before = self._process.pid
        try:
            self._process.decode(data)
            outcome = "read"
        except UnreadableError as error:
            outcome = error.kind
        if outcome == TOO_SLOW:
            raise FailedError(f"more than {MOST_SECONDS:g} s")
        if self._process.pid != before:
            raise FailedError("ended its process")
        return outcome

    def restart(self) -> None:
        """Another child."""
        self._process.end()
        self._process.start()
