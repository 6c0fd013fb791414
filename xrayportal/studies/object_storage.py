"""Files in an object store that speaks S3, for portals on more than one host."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any, ParamSpec, TypeVar

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from django.utils.deconstruct import deconstructible
from storages.backends.s3 import S3Storage

from xrayportal.studies.storage import StorageUnavailableError

#: Seconds until a store that does not answer is given up, and how often it is asked. botocore's own numbers,
#: 60 seconds five times, would hold a web request for minutes.
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 15, 2
#: A signed address is for the click that asked for it.
SIGNED_SECONDS = 60
#: Larger files are read through the disk.
_IN_MEMORY_BYTES = 4 * 1024 * 1024
_MISSING = {"NoSuchKey", "404", "NotFound"}

P = ParamSpec("P")
T = TypeVar("T")


class ObjectStorageError(StorageUnavailableError):
    """The object store could not be reached, refused, or failed; it may answer later."""


@contextmanager
def _as_oserror(name: str) -> Iterator[None]:
    """Raise FileNotFoundError or `ObjectStorageError` for what boto raises, none of which is an OSError."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise FileNotFoundError(f"The object store has no {name}.") from error
        raise ObjectStorageError(f"The object store answered {code or 'an error'}.") from error
    except (BotoCoreError, Boto3Error) as error:
        raise ObjectStorageError(f"The object store: {type(error).__name__}.") from error


def _telling(method: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(method)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        with _as_oserror(str(args[1] if len(args) > 1 else "")):
            return method(*args, **kwargs)

    return told


@deconstructible(path="xrayportal.studies.object_storage.ObjectStorage")
class ObjectStorage(S3Storage):
    """A bucket. Every error is an OSError, and no call lasts longer than a person waits.

    Options beside those of django-storages: ``connect_timeout``, ``read_timeout`` (seconds), ``attempts``;
    ``download_url``, the store's address as browsers reach it: with it originals are fetched from there by a
    signed address, without it they go through the portal.
    """

    def __init__(self, **options: Any) -> None:
        connect = options.pop("connect_timeout", CONNECT_SECONDS)
        read = options.pop("read_timeout", READ_SECONDS)
        attempts = options.pop("attempts", ATTEMPTS)
        self._download_url: str | None = options.pop("download_url", None)
        super().__init__(**options)
        self.client_config = Config(
            connect_timeout=connect,
            read_timeout=read,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            signature_version=self.signature_version or "s3v4",
            s3={"addressing_style": self.addressing_style},
            proxies=self.proxies,
            # Stores other than Amazon's refuse the checksums that boto adds by itself; TLS guards the way.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    @_telling
    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        """The whole object, read in one request: a reader never meets the network's errors."""
        if mode != "rb":
            raise ValueError("An object is read whole or written whole.")
        answer = self._client.get_object(Bucket=self.bucket_name, Key=self._normalize_name(name))
        content = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  the File closes it
        try:
            for chunk in answer["Body"].iter_chunks(256 * 1024):
                content.write(chunk)
        except BaseException:
            content.close()
            raise
        content.seek(0)
        return File(content, name)

    @_telling
    def _save(self, name: str, content: File[Any]) -> str:
        return str(super()._save(name, content))

    @_telling
    def delete(self, name: str) -> None:
        """Remove the object; one that is not there is no error."""
        super().delete(name)

    @_telling
    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        return bool(super().exists(name))

    @_telling
    def size(self, name: str) -> int:
        """Bytes of the object. Raises FileNotFoundError."""
        return int(super().size(name))

    @_telling
    def get_modified_time(self, name: str) -> datetime:
        """When the object was written. Raises FileNotFoundError."""
        modified: datetime = super().get_modified_time(name)
        return modified

    @_telling
    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        """Folders and files in this folder."""
        folders, files = super().listdir(name)
        return folders, files

    def files_by_folder(self, root: str) -> Iterator[tuple[str, dict[str, datetime]]]:
        """Each folder below ``root`` with the names in it and when they were written.

        One request for a thousand objects, whatever their folders; a folder that two answers share comes in
        two parts.
        """
        with _as_oserror(root):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket_name, Prefix=self._normalize_name(root).rstrip("/") + "/"
            )
            start = len(self._normalize_name("")) if self.location else 0
            for page in pages:
                names = ((each["Key"][start:], each["LastModified"]) for each in page.get("Contents", ()))
                for folder, files in groupby(names, key=lambda entry: entry[0].rpartition("/")[0]):
                    yield folder, dict(files)

    def signed_download(self, name: str, *, media_type: str, filename: str) -> str | None:
        """An address to fetch this object from for a minute; None unless ``download_url`` is set.

        Whoever has the address has the file: make it after the permission check, for who asked.
        """
        if not self._download_url:
            return None
        client = self._create_session().client(
            "s3", endpoint_url=self._download_url, region_name=self.region_name, config=self.client_config
        )
        parameters = {
            "Bucket": self.bucket_name,
            "Key": self._normalize_name(name),
            "ResponseContentType": media_type,
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseCacheControl": "private, no-store",
        }
        address: str = client.generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=SIGNED_SECONDS
        )
        return address
