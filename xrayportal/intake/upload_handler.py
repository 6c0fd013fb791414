"""Receives the files of a form: never more of one in memory or on the disk than a file may have."""

from __future__ import annotations

import tempfile
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler


class BoundedFileUploadHandler(FileUploadHandler):
    """Stops writing past ``UPLOAD_MAX_BYTES`` but keeps counting.

    ``size`` of the file is the true one, so that ingest refuses it by name and the other files of the
    form are still taken. On the disk the file has no name: it is not de-identified yet, and is gone when
    the process is, however that ends.
    """

    _file: UploadedFile[bytes] | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin one more file of the form."""
        super().new_file(*args, **kwargs)
        nameless = tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115  closed with the request
        self._file = UploadedFile(
            nameless, self.file_name, self.content_type, 0, self.charset, self.content_type_extra
        )
        self._room = settings.UPLOAD_MAX_BYTES

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write what still fits."""
        kept, self._room = raw_data[: self._room], max(0, self._room - len(raw_data))
        if kept and self._file is not None:
            self._file.write(kept)

    def file_complete(self, file_size: int) -> UploadedFile[bytes] | None:
        """Return the file, rewound, with its true size."""
        if self._file is not None:
            self._file.seek(0)
            self._file.size = file_size
        return self._file

    def upload_interrupted(self) -> None:
        """Close the file of a sender who went away."""
        if self._file is not None:
            self._file.close()
