"""Which file each row of a CSV is about, once all files are known."""

from __future__ import annotations

import unicodedata

import pytest

from xrayportal.intake.bulk.labels import Kept, Label, Row, as_json, from_json
from xrayportal.intake.bulk.rows import (
    AMBIGUOUS,
    CONTRADICTING,
    MISSING,
    Arrived,
    Matches,
    label_at_once,
    match,
)
from xrayportal.intake.filenames import comparable_path


def kept(**csvs: dict[str, str | Label]) -> Kept:
    """What a submission keeps of CSVs: ``kept(top__x={"b.png": "P-1"})`` is one that lay in ``top/x``."""
    rows: Kept = {}
    for folder, labels in csvs.items():
        place = "/".join([*folder.split("__"), "labels.csv"]) if folder != "here" else "labels.csv"
        parsed = {
            comparable_path(name): Row(Label(label) if isinstance(label, str) else label, written=name)
            for name, label in labels.items()
        }
        for name, several in as_json(parsed, place, folder).items():
            rows.setdefault(name, []).extend(several)
    return rows


def decide(rows: Kept, *paths: str, **owners: str) -> Matches:
    """Each file a study of its own, unless ``owners`` tells of files of one study, by path."""
    arrived = [Arrived(comparable_path(path), path) for path in paths]
    return match(arrived + [Arrived(path, owner) for path, owner in owners.items()], from_json(rows))


def references(found: Matches) -> dict[object, str]:
    return {owner: label.patient_reference for owner, label in found.labels.items()}


@pytest.mark.parametrize("path", ["b.png", "x/B.png", "Top/x/b.png"])
def test_a_csv_on_its_own_names_a_file_by_the_end_of_its_path(path: str) -> None:
    assert references(decide(kept(here={"b.png": "bare"}), path)) == {path: "bare"}
    assert decide(kept(here={"b.png": "bare"}), "c.png").problems == {"b.png": MISSING}


def test_the_longest_name_counts_where_each_row_has_a_file() -> None:
    rows = kept(here={"b.png": "bare", "x/b.png": "long"})
    found = decide(rows, "top/x/b.png", "top/y/b.png")
    assert references(found) == {"top/x/b.png": "long", "top/y/b.png": "bare"}
    assert found.problems == {}


def test_a_csv_in_a_folder_names_files_from_there() -> None:
    rows = kept(top={"x/b.png": "from there", "top/y/b.png": "from above"})
    found = decide(rows, "top/x/b.png", "top/y/b.png", "top/z/b.png")
    assert references(found) == {"top/x/b.png": "from there", "top/y/b.png": "from above"}
    assert found.problems == {}


def test_each_folder_may_have_a_csv_of_its_own() -> None:
    rows = kept(top__x={"image1.png": "P-1"}, top__y={"image1.png": "P-2"}, top={"image1.png": "P-3"})
    found = decide(rows, "top/x/image1.png", "top/y/image1.png", "top/z/image1.png")
    assert sorted(references(found).values()) == ["P-1", "P-2", "P-3"]
    assert found.problems == {}


def test_a_csv_says_nothing_of_files_beside_its_folder() -> None:
    """The reference of another patient would be worse than none."""
    found = decide(kept(top__x={"image1.png": "P-1"}), "top/y/image1.png")
    assert (found.labels, found.problems) == ({}, {"top/x/image1.png": MISSING})


def test_a_row_that_fits_two_patients_counts_for_none() -> None:
    found = decide(kept(set={"1.png": "P-ANNA"}), "set/p1/1.png", "set/p2/1.png")
    assert (found.labels, found.problems) == ({}, {"set/1.png": AMBIGUOUS})


def test_nor_does_the_row_of_a_farther_csv_that_fits_both() -> None:
    found = decide(kept(here={"1.png": "P-A"}, set={"1.png": "P-B"}), "set/p1/1.png", "set/p2/1.png")
    assert found.labels == {}
    assert found.problems == {"1.png": AMBIGUOUS, "set/1.png": AMBIGUOUS}


def test_a_row_may_fit_two_files_of_one_study() -> None:
    found = decide(kept(here={"im1": "P-1"}), **{"s1/im1": "study", "s2/im1": "study"})
    assert references(found) == {"study": "P-1"}
    assert found.problems == {}


def test_a_row_with_the_whole_path_is_about_that_file() -> None:
    found = decide(kept(top={"b.png": "P-1"}), "top/b.png", "top/x/b.png")
    assert references(found) == {"top/b.png": "P-1"}
    assert found.problems == {}


@pytest.mark.parametrize("other", [{"top__x": {"b.png": "P-2"}}, {"here": {"top/x/b.png": "P-2"}}])
def test_csvs_that_contradict_each_other_count_for_none(other: dict[str, dict[str, str | Label]]) -> None:
    found = decide(kept(top={"x/b.png": "P-1"}, **other), "top/x/b.png")
    assert found.labels == {}
    assert set(found.problems.values()) == {CONTRADICTING}
    assert {label.patient_reference for label in found.doubtful["top/x/b.png"]} == {"P-1", "P-2"}


def test_a_row_that_is_passed_over_must_not_say_otherwise() -> None:
    found = decide(kept(here={"b.png": "P-1", "x/b.png": "P-2"}), "x/b.png")
    assert (found.labels, set(found.problems.values())) == ({}, {CONTRADICTING})


def test_rows_for_two_views_of_one_study_must_agree() -> None:
    rows = kept(here={"a.png": "P-1", "b.png": "P-2"})
    found = decide(rows, **{"f/a.png": "study", "f/b.png": "study"})
    assert found.labels == {}
    assert found.problems == {"a.png": CONTRADICTING, "b.png": CONTRADICTING}


def test_rows_that_complete_each_other_count_together() -> None:
    rows = kept(here={"a.png": Label("P-1")}, f={"a.png": Label("", "wrist", 2)})
    assert decide(rows, "f/a.png").labels == {"f/a.png": Label("P-1", "wrist", 2)}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_umlaut_in_one_sign_or_two_is_the_same_name(form: str) -> None:
    rows = kept(**{"Jürgen": {unicodedata.normalize(form, "Müller.PNG"): "P-1"}})
    path = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "Jürgen/Müller.png")
    assert references(decide(rows, path)) == {path: "P-1"}


def test_a_file_in_endless_folders_is_known_by_its_whole_path() -> None:
    path = "f/" * 400 + "a.png"
    assert decide(kept(here={"a.png": "bare"}), path).labels == {}
    assert references(decide(kept(here={path: "whole"}), path)) == {path: "whole"}


def test_only_a_sole_row_with_the_whole_path_counts_at_once() -> None:
    assert label_at_once("top/c.png", kept(top={"b.png": "P-1"})) == Label()
    assert label_at_once("top/b.png", kept(top={"b.png": "P-1"})) == Label("P-1")
    assert label_at_once("top/x/b.png", kept(top={"b.png": "P-1"})) is None
    assert label_at_once("top/b.png", kept(top={"b.png": "P-1"}, here={"b.png": "P-1"})) is None
    rows = kept(top={"b.png": "P-1"}, here={"top/b.png": "P-2"})
    assert label_at_once("top/b.png", rows) is None
