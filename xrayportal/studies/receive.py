"""Files as they come in: never more of one in memory or on the disk than a file may have."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler


class BoundedFileUploadHandler(TemporaryFileUploadHandler):
    """Stops writing past ``UPLOAD_MAX_BYTES`` but keeps counting.

    ``size`` of the file is the true one, so that ingest refuses it by name and the other files of the
    form are still read.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """One more file of the form begins."""
        super().new_file(*args, **kwargs)
        self._room = settings.UPLOAD_MAX_BYTES

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        """Write what still fits."""
        kept, self._room = raw_data[: self._room], max(0, self._room - len(raw_data))
        if kept:
            super().receive_data_chunk(kept, start)
        return None
