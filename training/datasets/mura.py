"""Stanford's MURA v1.1, exactly as distributed: two lists of pictures and two of labelled studies.

``MURA-v1.1/train_image_paths.csv`` holds one path a line, ``train_labeled_studies.csv`` a study's
folder and its label; the same for ``valid``, which is the test split here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from training.datasets.record import Dataset, DatasetError, Record, Split

ROOT = "MURA-v1.1"
PARTS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")
SPLITS: dict[str, Split] = {"train": "train", "valid": "test"}
ATTRIBUTION = (
    "MURA: P. Rajpurkar et al., MURA: Large Dataset for Abnormality Detection in Musculoskeletal "
    "Radiographs, arXiv:1712.06957 (2017)"
)
ABOUT = (
    "All pictures come from one hospital. A label says of a whole study that something is abnormal, and "
    "neither what nor where. Splits follow patients."
)


def read(root: Path) -> Dataset:
    """All pictures under ``root`` (the folder ``MURA-v1.1``). Raises ``DatasetError`` with one sentence."""
    records: list[Record] = []
    for name, split in SPLITS.items():
        if not (root / name).is_dir():
            raise DatasetError(f"{root} has no folder {name}: unpack the whole of MURA v1.1.")
        labels = dict(_labels(root / f"{name}_labeled_studies.csv"))
        listed = [_record(root, line[0], labels, split) for line in _rows(root / f"{name}_image_paths.csv")]
        bare = labels.keys() - {record.study for record in listed}
        if bare:
            raise DatasetError(
                f"{len(bare)} studies of {name} have a label but no picture, the first is {min(bare)}."
            )
        records += listed
    return Dataset(
        name="MURA v1.1",
        target="abnormality",
        body_parts=PARTS,
        records=tuple(records),
        attribution=ATTRIBUTION,
        licence="Stanford University Dataset Research Use Agreement",
        about=ABOUT,
    )


def _labels(path: Path) -> Iterator[tuple[str, bool]]:
    for row in _rows(path):
        if len(row) != 2 or row[1].strip() not in ("0", "1"):
            raise DatasetError(f"{path.name} has a line that is no study and label: {','.join(row)[:80]}.")
        yield row[0].rstrip("/"), row[1].strip() == "1"


def _rows(path: Path) -> Iterator[list[str]]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing: it belongs to MURA v1.1.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if row and row[0].strip():
                    yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not as Stanford distributes it ({error}).") from error


def _record(root: Path, line: str, labels: dict[str, bool], split: Split) -> Record:
    # MURA-v1.1/train/XR_WRIST/patient06359/study1_positive/image2.png
    pieces = line.strip().split("/")
    if len(pieces) != 6 or not pieces[2].startswith("XR_"):
        raise DatasetError(f"{line.strip()[:120]!r} is not the path of a MURA picture.")
    study = "/".join(pieces[:-1])
    body_part = pieces[2].removeprefix("XR_").lower()
    if body_part not in PARTS:
        raise DatasetError(f"{line.strip()} names the part {body_part}, which MURA does not have.")
    if study not in labels:
        raise DatasetError(f"The study {study} has pictures but no label.")
    return Record(
        id="/".join(pieces[1:]),
        path=root.joinpath(*pieces[1:]),
        split=split,
        group=pieces[3],
        abnormal=labels[study],
        body_part=body_part,
        study=study,
    )
