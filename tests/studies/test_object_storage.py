"""The object store: a real server where ``TEST_S3_URL`` names one (``make storage``), and servers that fail.

What a store that fails does is tried against sockets that refuse, are silent, or talk nonsense.
"""

from __future__ import annotations

import io
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import make_analysis, make_clinic, make_image, make_study
from tests.house import House, browser
from xrayportal.analyses.orphans import sweep
from xrayportal.studies.object_storage import ATTEMPTS, ObjectStorage, ObjectStorageError
from xrayportal.studies.storage import files_by_folder, write_durably

SERVER = os.environ.get("TEST_S3_URL", "")
real = pytest.mark.skipif(not SERVER, reason="TEST_S3_URL names no S3 server; `make storage` starts one")
NAME = "clinics/c/originals/ab/abcd"
KEYS = {
    "access_key": os.environ.get("TEST_S3_ACCESS_KEY", "portal"),
    "secret_key": os.environ.get("TEST_S3_SECRET_KEY", "no-secret"),
}


def storage_at(address: str, **options: Any) -> ObjectStorage:
    """A storage that does not wait long."""
    patience = {"connect_timeout": 0.5, "read_timeout": 0.5}
    return ObjectStorage(
        bucket_name="portal", endpoint_url=address, region_name="eu-test-1", **{**KEYS, **patience, **options}
    )


@pytest.fixture
def store() -> ObjectStorage:
    """A new bucket on the real server."""
    storage = storage_at(SERVER, read_timeout=15)
    storage.bucket_name = f"test-{uuid.uuid4().hex}"
    storage.bucket.create()
    return storage


@pytest.fixture
def portal_store(store: ObjectStorage, settings: Settings) -> ObjectStorage:
    """The portal's own storage is that bucket."""
    options = {"bucket_name": store.bucket_name, "endpoint_url": SERVER, "region_name": "eu-test-1", **KEYS}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "xrayportal.studies.object_storage.ObjectStorage", "OPTIONS": options},
    }
    return store


@real
class TestRealServer:
    def test_written_whole_under_its_name_and_replaced(self, store: ObjectStorage) -> None:
        write_durably(NAME, b"old", store)
        large = os.urandom(20 * 1024 * 1024)  # in parts
        write_durably(NAME, io.BytesIO(large), store)
        with store.open(NAME, "rb") as file:
            assert file.read() == large
        assert store.size(NAME) == len(large)
        assert store.exists(NAME)

    def test_a_missing_object_is_a_missing_file(self, store: ObjectStorage) -> None:
        for ask in (store.open, store.size, store.get_modified_time):
            with pytest.raises(FileNotFoundError):
                ask(NAME)
        assert not store.exists(NAME)
        store.delete(NAME)

    def test_refusals_are_oserrors(self, store: ObjectStorage) -> None:
        refused = storage_at(SERVER, read_timeout=15, secret_key="not the secret")
        refused.bucket_name = store.bucket_name
        with pytest.raises(ObjectStorageError):
            write_durably(NAME, b"x", refused)

    def test_the_listing_has_every_object_once_and_its_time(self, store: ObjectStorage) -> None:
        names = {
            f"clinics/c/findings/{number // 4:04}/{number}" for number in range(1100)
        }  # more than one page
        ends = [threading.Thread(target=write, args=(store, sorted(names)[n::8])) for n in range(8)]
        for each in ends:
            each.start()
        for each in ends:
            each.join()
        found: dict[str, Any] = {}
        for folder, files in files_by_folder("clinics", store):
            assert all(name.rpartition("/")[0] == folder for name in files)
            assert not found.keys() & files.keys()
            found.update(files)
        assert found.keys() == names
        assert all(abs(timezone.now() - modified) < timedelta(minutes=5) for modified in found.values())

    @pytest.mark.django_db(transaction=True)
    def test_the_sweep_takes_orphans_alone(self, portal_store: ObjectStorage, settings: Settings) -> None:
        settings.ORPHAN_GRACE_SECONDS = 0
        study = make_study(make_clinic())
        make_analysis(study)
        kept = {name for _, files in files_by_folder("clinics", portal_store) for name in files}
        assert len(kept) > 1
        orphans = [
            f"clinics/{study.clinic_id}/originals/ff/{'f' * 64}",
            f"clinics/x/findings/{uuid.uuid4()}/1",
        ]
        for name in orphans:
            write_durably(name, b"x", portal_store)
        time.sleep(1.1)  # the store's clock counts whole seconds
        assert sum(sweep()) == len(orphans)
        assert {name for _, files in files_by_folder("clinics", portal_store) for name in files} == kept

    def test_a_signed_address_opens_this_object_and_no_other(self, store: ObjectStorage) -> None:
        write_durably(NAME, b"content", store)
        write_durably(f"{NAME}2", b"another", store)
        store._download_url = SERVER
        address = store.signed_download(NAME, media_type="image/png", filename="a.png")
        assert address is not None
        with urlopen(address, timeout=10) as answer:
            assert answer.read() == b"content"
            assert answer.headers["Content-Type"] == "image/png"
            assert answer.headers["Content-Disposition"] == 'attachment; filename="a.png"'
        for wrong in (address.replace("abcd?", "abcd2?"), address.partition("?")[0]):
            with pytest.raises(HTTPError, match="403"):
                urlopen(wrong, timeout=10)


def write(store: ObjectStorage, names: list[str]) -> None:
    for name in names:
        write_durably(name, b"x", store)


def serve(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that does this with every connection: its address, and the connections so far."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def loop() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            kept.append(connection)
            answer(connection)

    threading.Thread(target=loop, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", kept
    listener.close()
    for connection in kept:
        connection.close()


def _fails(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close()


def _ends_early(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    connection.close()


def _is_silent(connection: socket.socket) -> None:
    return None


@pytest.fixture(params=[_fails, _is_silent, _ends_early], ids=["fails", "silent", "ends early"])
def broken(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[socket.socket]]]:
    """The address of a store that does not do its work, and how often it was asked."""
    yield from serve(request.param)


def test_a_store_that_fails_is_asked_twice_and_told(broken: tuple[str, list[socket.socket]]) -> None:
    address, connections = broken
    with pytest.raises(ObjectStorageError):
        storage_at(address).open(NAME)
    assert 1 <= len(connections) <= ATTEMPTS == 2


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    storage = storage_at(f"http://127.0.0.1:{port}")
    for ask in (
        lambda: write_durably(NAME, b"x", storage),
        lambda: storage.open(NAME),
        lambda: storage.exists(NAME),
        lambda: storage.delete(NAME),
        lambda: list(files_by_folder("clinics", storage)),
    ):
        with pytest.raises(ObjectStorageError):
            ask()


@pytest.fixture
def signing(settings: Settings) -> None:
    """A store that browsers reach; signing asks no server."""
    options = {
        "bucket_name": "portal",
        "endpoint_url": "http://127.0.0.1:1",
        "download_url": "https://s3.example",
    }
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "xrayportal.studies.object_storage.ObjectStorage",
            "OPTIONS": {**options, "region_name": "eu-test-1", **KEYS},
        },
    }


def test_an_address_is_signed_for_those_who_may_see_the_study_alone(
    house: House, request: pytest.FixtureRequest
) -> None:
    image = make_image(make_study(house.clinic))
    address = reverse("image-file", args=[house.clinic.slug, image.pk])
    request.getfixturevalue("signing")
    answer = browser(house.reader).get(address)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("https://s3.example/portal/clinics/")
    assert "X-Amz-Expires=60" in answer.headers["Location"]
    assert "no-store" in answer.headers["Cache-Control"]
    assert browser(house.stranger).get(address).status_code == 404
    assert browser(None).get(address).status_code == 302
    assert "s3.example" not in browser(None).get(address).headers["Location"]
