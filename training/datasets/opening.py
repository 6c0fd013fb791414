"""Which data set lies at a path?"""

from __future__ import annotations

from pathlib import Path

from training.datasets import fracatlas, mura, table
from training.datasets.record import Dataset, DatasetError


def open_dataset(path: Path) -> Dataset:
    """The data set at ``path``, recognised by its files. Raises ``DatasetError`` for any other folder."""
    if path.suffix.lower() == ".csv":
        return table.read(path)
    if (path / "manifest.csv").is_file():
        return fracatlas.read(path)
    if path.name == mura.ROOT or (path / mura.ROOT).is_dir():
        return mura.read(path if path.name == mura.ROOT else path / mura.ROOT)
    raise DatasetError(f"{path} is neither a .csv table, nor FracAtlas (manifest.csv), nor {mura.ROOT}.")
