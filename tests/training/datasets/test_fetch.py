"""Downloads from a local server that behaves like figshare: listing, ranges, broken and false files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.datasets import fetch, fracatlas
from training.datasets.record import DatasetError


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, folder in (
            ("IMG1.jpg", "Fractured"),
            ("IMG2.jpg", "Non_fractured"),
            ("IMG3.jpg", "Non_fractured"),
        ):
            picture = cv2.imencode(".jpg", np.full((40, 30), 80, np.uint8))[1].tobytes()
            archive.writestr(f"FracAtlas/images/{folder}/{name}", picture)
        archive.writestr("FracAtlas/dataset.csv", "image_id,fractured\nIMG1.jpg,1\nIMG2.jpg,0\nIMG3.jpg,0\n")
        document = {
            "images": [{"id": 0, "file_name": "IMG1.jpg", "width": 30, "height": 40}],
            "annotations": [{"image_id": 0, "bbox": [5, 6, 10, 12]}],
        }
        archive.writestr("FracAtlas/Annotations/COCO JSON/COCO_fracture_masks.json", json.dumps(document))
    return buffer.getvalue()


class Figshare:
    """A server on loopback; ``ranges`` are those that clients asked for, ``md5`` what it claims."""

    def __init__(self) -> None:
        self.content = _archive()
        self.md5 = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        self.ranges: list[str | None] = []
        self.honours_ranges = True
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.path == "/article":
            remote = {
                "name": "FracAtlas.zip",
                "size": len(self.content),
                "computed_md5": self.md5,
                "download_url": f"{self.address}/file",
            }
            body, status = json.dumps({"files": [remote]}).encode(), 200
        elif request.path == "/file":
            asked = request.headers.get("Range")
            self.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.honours_ranges else 0
            body, status = self.content[start:], 206 if start else 200
        else:
            body, status = b"", 404
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def figshare() -> Iterator[Figshare]:
    site = Figshare()
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "split", "group", "part", "part_flags"])
        writer.writerow(["IMG1.jpg", "train", "1", "hand", "hw"])
        writer.writerow(["IMG2.jpg", "test", "2", "foot", ""])
    return path


def test_download_becomes_the_manifest(figshare: Figshare, labels: Path, tmp_path: Path) -> None:
    folder = fetch.fracatlas(tmp_path / "data", labels, f"{figshare.address}/article")
    data = fracatlas.read(folder)
    assert [record.id for record in data.records] == ["IMG1.jpg", "IMG2.jpg"]
    first, second = data.records
    assert (first.abnormal, first.body_part, first.boxes) == (True, "hand", ((5.0, 6.0, 15.0, 18.0),))
    assert first.flags == {"hw"}
    assert (second.width, second.height) == (30, 40)
    assert all(record.path.is_file() for record in data.records)


@pytest.mark.parametrize("honours", [True, False])
def test_an_interrupted_download_goes_on(figshare: Figshare, tmp_path: Path, honours: bool) -> None:
    figshare.honours_ranges = honours
    (tmp_path / "FracAtlas.zip.part").write_bytes(figshare.content[:100])
    remote = fetch.listing(f"{figshare.address}/article")[0]
    assert fetch.download(remote, tmp_path).read_bytes() == figshare.content
    assert figshare.ranges == ["bytes=100-"]
    fetch.download(remote, tmp_path)
    assert len(figshare.ranges) == 1


def test_a_false_file_is_deleted(figshare: Figshare, tmp_path: Path) -> None:
    figshare.md5 = "0" * 32
    remote = fetch.listing(f"{figshare.address}/article")[0]
    with pytest.raises(DatasetError, match="not the file"):
        fetch.download(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_a_sentence(figshare: Figshare, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="could not be downloaded"):
        fetch.download(fetch.Remote("x.zip", f"{figshare.address}/nothing", 10, ""), tmp_path)
    with pytest.raises(DatasetError, match="cannot be read"):
        fetch.listing(f"{figshare.address}/nothing")
    with pytest.raises(DatasetError, match="no web address"):
        fetch.listing("file:///etc/passwd")


def test_an_archive_that_points_outside_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../evil.jpg", b"x")
    with pytest.raises(DatasetError, match="outside"):
        fetch.unpack(tmp_path / "bad.zip", tmp_path / "into")
    assert not (tmp_path / "evil.jpg").exists()


def test_labels_are_needed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="label file"):
        fetch.fracatlas(tmp_path, tmp_path / "none.csv")


def test_our_labels_are_those_of_the_manifest(shared: Path) -> None:
    with fetch.OUR_LABELS.open(newline="") as file:
        ours = {row["image_id"]: row for row in csv.DictReader(file)}
    data = fracatlas.read(shared / "data/fracatlas")
    assert {record.id for record in data.records} == set(ours)
    for record in data.records:
        row = ours[record.id]
        assert (row["split"], row["group"]) == (record.split, record.group)
        assert row["part"] == (record.body_part or "other")


def test_a_label_without_its_picture_is_named(figshare: Figshare, labels: Path, tmp_path: Path) -> None:
    with labels.open("a") as file:
        file.write("IMG9.jpg,train,3,hand,\n")
    with pytest.raises(DatasetError, match=r"IMG9\.jpg"):
        fetch.fracatlas(tmp_path / "data", labels, f"{figshare.address}/article")
