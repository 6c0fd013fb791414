"""Finds the pictures and DICOM files in folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from inference_worker.sniff import HEAD_BYTES, SUFFIXES, sniff

#: A medium's list of its files: it has the DICOM preamble and never a picture.
_INDEX = "DICOMDIR"


def expand(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield each path; for a folder the pictures in it, or the folder itself if there are none."""
    for path in paths:
        if path.is_dir():
            is_empty = True
            for file in files_under(path):
                is_empty = False
                yield file
            if is_empty:
                yield path
        else:
            yield path


def files_under(folder: Path) -> Iterator[Path]:
    """Yield picture and DICOM files at any depth, in order: by their suffix, or else as DICOM by their bytes.

    Hidden files and folders are left out, links to folders are not followed.
    """
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and _is_candidate(path):
                yield path


def _is_candidate(path: Path) -> bool:
    if path.name.upper() == _INDEX or not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return sniff(file.read(HEAD_BYTES)) == "dicom"
    except OSError:  # without permission to open it, only the suffix could tell that it is a picture
        return False
