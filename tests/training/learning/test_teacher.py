"""A teacher's files: read for the pictures asked for, refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.datasets.record import DatasetError, Record
from training.learning.teacher import ANSWERS, MAPS, read_teacher


def _records(*names: str) -> list[Record]:
    return [Record(name, Path(name), "train", name, abnormal=False) for name in names]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ANSWERS).write_text("image_id,fold,teacher_probability\na,0,0.25\nb,1,0.5\nc,2,1.0\n")
    maps = np.arange(3, dtype=np.float16)[:, None, None] * np.full((1, 2, 2), 0.5, np.float16)
    np.savez(tmp_path / MAPS, image_id=np.array(["c", "b", "a"]), probability=maps)
    return tmp_path


def test_answers_come_in_the_order_of_the_pictures(folder: Path) -> None:
    teacher = read_teacher(folder, _records("b", "a"))
    np.testing.assert_allclose(teacher.probability, [0.5, 0.25])
    np.testing.assert_allclose(teacher.maps[:, 0, 0], [0.5, 1.0])
    assert teacher.digest != read_teacher(folder, _records("a", "b")).digest
    assert teacher.take([1, 0]).digest == read_teacher(folder, _records("a", "b")).digest


def test_what_is_no_teacher_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no answer to 1 pictures, the first is d\."):
        read_teacher(folder, _records("a", "d"))
    with pytest.raises(DatasetError, match="no teacher"):
        read_teacher(tmp_path / "nowhere", _records("a"))
    (folder / ANSWERS).write_text("image_id,teacher_probability\na,1.5\n")
    with pytest.raises(DatasetError, match="not all probabilities"):
        read_teacher(folder, _records("a"))
    (folder / ANSWERS).write_text("image_id,logit\na,1.5\n")
    with pytest.raises(DatasetError, match="no teacher's answers"):
        read_teacher(folder, _records("a"))
    (folder / ANSWERS).write_text("image_id,teacher_probability\na,0.5\n")
    (folder / MAPS).write_bytes(b"PK, but no archive")
    with pytest.raises(DatasetError, match="no teacher's answers"):
        read_teacher(folder, _records("a"))
