"""Why a destination did not take what was sent."""

from __future__ import annotations


class SendingError(Exception):
    """An attempt that failed; ``kind`` says how, ``code`` is the other side's status, if it gave one."""

    def __init__(self, kind: str, code: str = "") -> None:
        super().__init__(f"{kind} {code}".strip())
        self.kind = kind
        self.code = code
