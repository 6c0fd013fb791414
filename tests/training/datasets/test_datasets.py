"""Data sets: MURA's exact layout, FracAtlas, tables; leaks and bad input in one sentence each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference_worker.decode import decode
from training.datasets import fracatlas, mura, table
from training.datasets.checks import check, check_apart
from training.datasets.folds import draw_folds, hold_out
from training.datasets.record import Dataset, DatasetError, Record
from training.datasets.squares import check_readable, load, read_grey
from training.learning.configuration import Config
from training.learning.splits import cross_folds, folds

STUDIES = (
    ("train", "XR_WRIST", "patient00001", "study1_positive", 2),
    ("train", "XR_WRIST", "patient00002", "study1_negative", 1),
    ("train", "XR_ELBOW", "patient00001", "study1_negative", 3),
    ("valid", "XR_SHOULDER", "patient11185", "study1_positive", 1),
    ("valid", "XR_HAND", "patient11186", "study1_negative", 2),
)


@pytest.fixture
def mura_tree(tmp_path: Path) -> Path:
    """A tree with the layout and the four lists of MURA v1.1."""
    root = tmp_path / mura.ROOT
    lists: dict[str, list[str]] = {}
    for split, body_part, patient, study, pictures in STUDIES:
        folder = f"{split}/{body_part}/{patient}/{study}"
        (root / folder).mkdir(parents=True)
        label = int(study.endswith("positive"))
        lists.setdefault(f"{split}_labeled_studies.csv", []).append(f"{mura.ROOT}/{folder}/,{label}")
        for number in range(1, pictures + 1):
            cv2.imwrite(str(root / folder / f"image{number}.png"), np.full((8, 6), 90, np.uint8))
            line = f"{mura.ROOT}/{folder}/image{number}.png"
            lists.setdefault(f"{split}_image_paths.csv", []).append(line)
    for name, lines in lists.items():
        (root / name).write_text("\n".join(lines) + "\n")
    return root


def test_mura_as_distributed(mura_tree: Path) -> None:
    data = mura.read(mura_tree)
    check(data)
    assert (len(data.split("train")), len(data.split("test"))) == (6, 3)
    first = data.records[0]
    assert (first.body_part, first.group, first.abnormal) == ("wrist", "patient00001", True)
    assert first.study == f"{mura.ROOT}/train/XR_WRIST/patient00001/study1_positive"
    assert data.target == "abnormality"


def test_mura_without_valid(mura_tree: Path) -> None:
    (mura_tree / "valid").rename(mura_tree / "elsewhere")
    with pytest.raises(DatasetError, match="no folder valid"):
        mura.read(mura_tree)


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("train_image_paths.csv", "MURA-v1.1/train/picture.png", "not the path"),
        ("train_image_paths.csv", "MURA-v1.1/train/XR_TOE/patient1/study1_positive/image1.png", "toe"),
        ("train_image_paths.csv", "MURA-v1.1/train/XR_HAND/patient1/study9_positive/image1.png", "no label"),
        ("train_labeled_studies.csv", "MURA-v1.1/train/XR_HAND/patient1/study9_positive/,maybe", "label"),
        ("valid_labeled_studies.csv", "MURA-v1.1/valid/XR_HAND/patient1/study9_positive/,1", "no picture"),
    ],
)
def test_mura_with_a_bad_line(mura_tree: Path, name: str, line: str, words: str) -> None:
    with (mura_tree / name).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DatasetError, match=words):
        mura.read(mura_tree)


def test_a_patient_in_two_splits_is_a_leak(mura_tree: Path) -> None:
    data = mura.read(mura_tree)
    leaky = replace(data, records=(*data.records, replace(data.records[0], id="again", split="test")))
    with pytest.raises(DatasetError, match="patient00001"):
        check(leaky)


def test_a_missing_picture_is_named(mura_tree: Path) -> None:
    data = mura.read(mura_tree)
    data.records[0].path.unlink()
    with pytest.raises(DatasetError, match=r"image1\.png"):
        check(data)


def test_a_split_with_one_label_only(bones: Path) -> None:
    data = table.read(bones)
    normal = tuple(record for record in data.records if record.split == "test" or not record.abnormal)
    with pytest.raises(DatasetError, match="one label only"):
        check(Dataset(data.name, data.target, data.body_parts, normal))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.png,,train,hand,1", "Line 2 lacks group"),
        ("a.png,g,dev,hand,1", "split is 'dev'"),
        ("a.png,g,train,hand,yes", "abnormal is 'yes'"),
        ("a.png,g,train,,1", "names no body part"),
        ("a.png,g,train,hand,1,[1]", "boxes must be"),
        ('a.png,g,train,hand,1,"[[30, 40, 9, 8]]"', "smaller values first"),
        ('a.png,g,train,hand,1,"[[NaN, 1, 9, 8]]"', "smaller values first"),
        ('a.png,g,train,hand,0,"[[1, 1, 9, 8]]"', "not abnormal"),
        ("ä.png,g,train,hand,1", "UTF-8"),
    ],
)
def test_a_table_with_a_bad_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"path,group,split,part,abnormal,boxes\n{line}\n", encoding="latin-1")
    with pytest.raises(DatasetError, match=words):
        table.read(path)


def test_a_picture_under_two_spellings_is_listed_twice(bones: Path) -> None:
    data = table.read(bones)
    first = data.records[0]
    again = replace(first, id=f"./{first.id}", path=first.path.parent / "." / "x" / ".." / first.path.name)
    with pytest.raises(DatasetError, match="twice"):
        check(replace(data, records=(*data.records, again)))


def test_pictures_are_read_as_the_worker_reads_them(tmp_path: Path) -> None:
    """Twelve bits in sixteen, as detectors export them: other readers show white or black."""
    deep = np.linspace(0, 4095, 64 * 48).reshape(48, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    pixels = read_grey(tmp_path / "deep.png")
    np.testing.assert_array_equal(pixels, decode((tmp_path / "deep.png").read_bytes()).pixels)
    assert np.ptp(pixels) == 255


def test_pictures_that_cannot_be_read_are_found_at_once(bones: Path, tmp_path: Path) -> None:
    records = list(table.read(bones).records[:5])
    check_readable(records, tmp_path)
    for index in (1, 3):
        cut = tmp_path / f"cut{index}.png"
        cut.write_bytes(records[index].path.read_bytes()[:900])
        records[index] = replace(records[index], path=cut)
    for read in (check_readable, lambda some, cache: load(some, 64, cache)):
        with pytest.raises(
            DatasetError, match=r"^2 pictures cannot be read; the first: .*cut1\.png cannot be"
        ) as caught:
            read(records, tmp_path)
        assert str(caught.value).endswith(".")
        assert "send" not in str(caught.value)


def test_folds_that_cannot_be_drawn(bones: Path) -> None:
    data = table.read(bones)
    few = [replace(record, group=record.split) for record in data.records]
    with pytest.raises(DatasetError, match="of 1 training groups"):
        folds(replace(data, records=tuple(few)), Config("c"))
    with pytest.raises(DatasetError, match="no training picture of the part wirst"):
        folds(data, Config("c", calibration=0.3, only=("wirst",)))
    normal = tuple(
        r for r in data.records if not (r.abnormal and r.body_part == "wrist" and r.split == "train")
    )
    with pytest.raises(DatasetError, match="pictures of wrist hold one label"):
        folds(replace(data, records=normal), Config("c", calibration=0.3, only=("wrist",)))


def test_a_table_without_a_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("path,split,part,abnormal\n")
    with pytest.raises(DatasetError, match="group"):
        table.read(path)


def test_fracatlas_has_no_leak(shared: Path) -> None:
    data = fracatlas.read(shared / "data/fracatlas")
    check(data)
    train, test = data.split("train"), data.split("test")
    assert (len(train), sum(r.abnormal for r in train)) == (2859, 520)
    assert (len(test), sum(r.abnormal for r in test)) == (624, 97)
    learn, held = hold_out(train, 0.15, seed=1)
    check_apart(learn, held, "training", "calibration")
    check_apart(held, test, "calibration", "test")
    assert len(learn) + len(held) == len(train)
    assert 0.13 < len(held) / len(train) < 0.17
    assert sum(r.abnormal for r in held) > 60


def test_fracatlas_with_a_bad_line(tmp_path: Path) -> None:
    header = ",".join(sorted(fracatlas.COLUMNS))
    (tmp_path / "manifest.csv").write_text(f"{header}\n[],yes,g,1,a.jpg,hand,,train,1\n")
    with pytest.raises(DatasetError, match="Line 2"):
        fracatlas.read(tmp_path)
    with pytest.raises(DatasetError, match="missing"):
        fracatlas.read(tmp_path / "nowhere")


def test_folds_keep_groups_whole_and_repeat() -> None:
    records = [
        Record(f"{g}-{i}", Path("x"), "train", f"g{g}", abnormal=i == 0, body_part="hand")
        for g in range(40)
        for i in range(5)
    ]
    rest, held = hold_out(records, 0.2, seed=3)
    check_apart(rest, held, "one", "other")
    assert len(held) == pytest.approx(40, abs=5)
    assert hold_out(records, 0.2, seed=3)[1] == held


def _groups(sizes: list[int]) -> list[Record]:
    return [
        Record(f"{group}-{number}", Path("x"), "train", f"g{group}", abnormal=number == 0, body_part="hand")
        for group, size in enumerate(sizes)
        for number in range(size)
    ]


def test_five_folds_hold_every_picture_once() -> None:
    records = _groups([5] * 40)
    first = hold_out(records, 0.2, seed=1)[1]
    drawn = draw_folds(records, first, 5, seed=11)
    assert drawn[0] == first
    assert sorted(record.id for fold in drawn for record in fold) == sorted(record.id for record in records)
    groups = [{record.group for record in fold} for fold in drawn]
    assert sum(map(len, groups)) == 40, "no group lies in two folds"
    assert [len(fold) for fold in drawn] == pytest.approx([40] * 5, abs=6)
    assert draw_folds(records, first, 5, seed=11) == drawn
    assert draw_folds(records, first, 5, seed=12) != drawn


def test_a_group_that_is_larger_than_a_fold_is_one_alone() -> None:
    records = _groups([5] * 30 + [60])
    drawn = draw_folds(records, [record for record in records if record.group == "g0"], 5, seed=1)
    assert {record.group for record in drawn[1]} == {"g30"}
    assert len(drawn) == 5
    assert all(drawn)


def test_groups_that_do_not_make_five_folds() -> None:
    records = _groups([5] * 4)
    with pytest.raises(DatasetError, match=r"4 groups are too few, or too large, for 5 folds\."):
        draw_folds(records, records[:5], 5, seed=1)


def test_the_folds_of_fracatlas(shared: Path) -> None:
    """One group of 675 is a fold alone; the first one is the calibration fold."""
    data = fracatlas.read(shared / "data/fracatlas")
    drawn = cross_folds(data, Config("c"))
    assert [len(fold) for fold in drawn] == [432, 675, 588, 576, 588]
    assert [sum(record.abnormal for record in fold) for fold in drawn] == [76, 107, 112, 104, 121]
    assert drawn[0] == folds(data, Config("c"))[1]
    assert {record.split for fold in drawn for record in fold} == {"train"}
