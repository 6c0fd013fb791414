"""Downloads FracAtlas from figshare and lays it out with the manifest that ``fracatlas.read`` takes.

Interrupted downloads go on where they stopped; every file is checked against figshare's MD5. The
pictures are unpacked, never run; a name in the archive that points outside is refused.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
import sys
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from training.datasets.fracatlas import COLUMNS
from training.datasets.record import DatasetError

ARTICLE = "https://api.figshare.com/v2/articles/22363012"
MURA = (
    "MURA is given out by Stanford on request: see https://stanfordmlgroup.github.io/competitions/mura/ . "
    "Unpack it and train with --data MURA-v1.1."
)
#: Splits, groups and parts: this project's own work, for the pictures of the source's download.
OUR_LABELS = Path(__file__).parent / "labels" / "fracatlas.csv"
LABELS = {"image_id", "split", "group", "part", "part_flags"}
CHUNK = 1 << 20
TIMEOUT = 60
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Remote:
    """A file as figshare lists it; ``md5`` may be empty."""

    name: str
    url: str
    size: int
    md5: str


def fracatlas(to: Path, labels: Path = OUR_LABELS, article: str = ARTICLE) -> Path:
    """Download, unpack and lay out FracAtlas under ``to``; return the folder that training reads.

    ``labels`` is this project's label file; pictures that it does not list are never used. Raises
    ``DatasetError`` with a sentence if a file cannot be had or is not what figshare says.
    """
    if not labels.is_file():
        raise DatasetError(f"The label file {labels} is missing; without it there are no parts or splits.")
    to.mkdir(parents=True, exist_ok=True)
    archives = [download(remote, to / "download") for remote in listing(article)]
    folder = to / "fracatlas"
    for archive in archives:
        if zipfile.is_zipfile(archive):
            unpack(archive, to / "unpacked")
    lay_out(to / "unpacked", labels, folder)
    logger.info("%s", folder)
    return folder


def listing(article: str) -> list[Remote]:
    """The files of a figshare article."""
    try:
        with _open(article) as response:
            files = json.load(response)["files"]
        return [
            Remote(file["name"], file["download_url"], int(file["size"]), file.get("computed_md5", ""))
            for file in files
        ]
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"The list of files at {article} cannot be read: {error}.") from error


def download(remote: Remote, folder: Path) -> Path:
    """``remote`` in ``folder``, whole and checked; goes on with a partial file."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / PurePosixPath(remote.name).name
    if target.is_file() and target.stat().st_size == remote.size:
        _verify(target, remote)
        return target
    partial = target.with_name(f"{target.name}.part")
    have = partial.stat().st_size if partial.is_file() else 0
    if have > remote.size:
        partial.unlink()
        have = 0
    if have < remote.size:
        _receive(remote, partial, have)
    _verify(partial, remote)
    partial.replace(target)
    return target


def _receive(remote: Remote, partial: Path, have: int) -> None:
    try:
        with _open(remote.url, {"Range": f"bytes={have}-"} if have else {}) as response:
            # A server that ignores the range sends the whole file again.
            resumed = have > 0 and response.status == 206
            with partial.open("ab" if resumed else "wb") as file:
                done = have if resumed else 0
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    _progress(remote, done)
    except (OSError, HTTPException) as error:
        raise DatasetError(
            f"{remote.name} could not be downloaded: {error}. The same command goes on."
        ) from error


def _verify(path: Path, remote: Remote) -> None:
    size = path.stat().st_size
    if size != remote.size:
        raise DatasetError(f"{remote.name} has {size} of {remote.size} bytes. The same command goes on.")
    if not remote.md5:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != remote.md5.lower():
        path.unlink()
        raise DatasetError(f"{remote.name} is not the file that figshare lists; it was deleted.")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` into ``folder``. Raises ``DatasetError`` if it is broken or points outside."""
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                parts = PurePosixPath(member.filename).parts
                if ".." in parts or member.filename.startswith("/"):
                    raise DatasetError(f"{archive.name} holds {member.filename!r}, which points outside.")
            members.extractall(folder)
    except zipfile.BadZipFile as error:
        raise DatasetError(f"{archive.name} is no whole archive: {error}.") from error


def lay_out(unpacked: Path, labels: Path, folder: Path) -> None:
    """``manifest.csv`` and ``images`` in ``folder`` from FracAtlas as unpacked and our label columns."""
    with labels.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not set(reader.fieldnames or ()) >= LABELS:
            raise DatasetError(f"{labels.name} must have the columns {', '.join(sorted(LABELS))}.")
        ours = {row["image_id"]: row for row in reader}
    pictures = {path.name: path for path in unpacked.rglob("*.jpg")}
    fractured, boxes, sizes = _source(unpacked)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, label in ours.items():
        if name not in pictures or name not in fractured:
            raise DatasetError(f"{name} is in the label file but not in the download.")
        shutil.copyfile(pictures[name], folder / "images" / name)
        width, height = sizes.get(name) or _sides(pictures[name])
        rows.append(
            {key: label[key] for key in LABELS}
            | {
                "fractured": fractured[name],
                "width": width,
                "height": height,
                "boxes": json.dumps(boxes.get(name, [])),
            }
        )
    partial = folder / "manifest.csv.part"
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, sorted(COLUMNS))
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(folder / "manifest.csv")


def _source(
    unpacked: Path,
) -> tuple[dict[str, str], dict[str, list[list[float]]], dict[str, tuple[int, int]]]:
    """From the source's own tables: label, boxes and size by picture."""
    table = next(unpacked.rglob("dataset.csv"), None)
    if table is None:
        raise DatasetError("The download holds no dataset.csv.")
    with table.open(newline="", encoding="utf-8") as file:
        fractured = {row["image_id"]: row["fractured"] for row in csv.DictReader(file)}
    boxes: dict[str, list[list[float]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for path in unpacked.rglob("COCO*.json"):
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = {image["id"]: image["file_name"] for image in document["images"]}
        sizes |= {image["file_name"]: (image["width"], image["height"]) for image in document["images"]}
        for annotation in document["annotations"]:
            left, top, width, height = annotation["bbox"]
            boxes.setdefault(names[annotation["image_id"]], []).append(
                [left, top, left + width, top + height]
            )
    return fractured, boxes, sizes


def _sides(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as picture:
        return picture.width, picture.height


def _open(url: str, headers: dict[str, str] | None = None) -> Any:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DatasetError(f"{url} is no web address.")
    request = Request(url, headers={"User-Agent": "xray-portal", **(headers or {})})  # noqa: S310  checked above
    return urlopen(request, timeout=TIMEOUT)  # noqa: S310  checked above


def _progress(remote: Remote, done: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{remote.name}: {done / max(1, remote.size):.0%} " + "\n" * (done == remote.size))
        sys.stderr.flush()
