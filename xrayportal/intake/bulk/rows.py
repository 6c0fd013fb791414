"""Which file each row of the CSVs is about, once all files of a submission are known: never guessed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from xrayportal.intake.bulk.labels import Kept, Label, Row, from_json, merged

#: Files in deeper folders can be named by their whole path only, which bounds the look-ups of each.
DEEPEST = 24

#: Why a row counts for no file.
MISSING, AMBIGUOUS, CONTRADICTING = "missing", "ambiguous", "contradicting"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that came: its comparable path, and its study (or whatever tells it from others)."""

    path: str
    owner: Hashable


@dataclass(slots=True)
class Matches:
    """What the rows say of the files.

    Attributes:
        labels: by owner, for those that rows name beyond doubt.
        doubtful: owners that rows fit, none of which counts, with all that those rows say.
        counting: by owner, the names of the rows that count.
        problems: why the others count for none, by name.
    """

    labels: dict[Hashable, Label] = field(default_factory=dict)
    doubtful: dict[Hashable, list[Label]] = field(default_factory=dict)
    counting: dict[Hashable, set[str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def doubt(
        self, owner: Hashable, names: Iterable[str], rows: Mapping[str, Sequence[Row]], problem: str
    ) -> None:
        """None of these rows, which fit the owner's files, counts."""
        self.doubtful.setdefault(owner, []).extend(row.label for name in names for row in rows[name])
        self.problems |= dict.fromkeys(names, problem)


def fitting(path: str, names: Container[str]) -> list[str]:
    """Those of these names of rows that fit the file at this comparable path, the one that counts first."""
    return [name for name in _names(path) if name in names]


def label_at_once(path: str, kept: Kept) -> Label | None:
    """The label of the file at this comparable path; empty where no row fits it.

    None where only all files together can tell: a row that gives the whole path is about no other file,
    one that gives its end may be about another as well.
    """
    names = fitting(path, kept)
    if not names:
        return Label()
    return _merged(names, from_json({path: kept[path]})) if names == [path] else None


def match(arrived: Sequence[Arrived], rows: Mapping[str, Sequence[Row]]) -> Matches:
    """Decide every row.

    Of the rows that fit a file the longest name counts, then that of the nearest CSV. A row that several
    studies' files would go by counts for none, but one that gives the whole path of a file is about that one.
    A row that every file of its name passes over for another row must not say otherwise than that one.
    """
    paths = {one.path for one in arrived}
    fits = [
        [name for name in fitting(one.path, rows) if name == one.path or name not in paths] for one in arrived
    ]
    owners: dict[str, set[Hashable]] = defaultdict(set)
    for one, names in zip(arrived, fits, strict=True):
        if names:
            owners[names[0]].add(one.owner)
    found = Matches()
    found.problems = dict.fromkeys(rows.keys() - {name for names in fits for name in names}, MISSING)
    stated: dict[Hashable, set[str]] = defaultdict(set)
    for one, names in zip(arrived, fits, strict=True):
        named = [*names[:1], *(name for name in names[1:] if name not in owners)]
        if names and len(owners[names[0]]) > 1:
            found.doubt(one.owner, named, rows, AMBIGUOUS)
        else:
            stated[one.owner].update(named)
    for owner, counting in stated.items():
        label = _merged(counting, rows)
        if label is None:
            found.doubt(owner, counting, rows, CONTRADICTING)
        elif counting:
            found.labels[owner] = label
            found.doubtful.pop(owner, None)
            found.counting[owner] = counting
    return found


def _merged(names: Iterable[str], rows: Mapping[str, Sequence[Row]]) -> Label | None:
    label: Label | None = Label()
    for row in (row for name in names for row in rows[name]):
        label = merged(label, row.label) if label is not None else None
    return label


def _names(path: str) -> Iterator[str]:
    """Yield the names that CSVs of the folders above may have for a file: longest first, then nearest CSV."""
    pieces = path.split("/")
    if len(pieces) > DEEPEST:
        yield path
        return
    names = (
        "/".join(pieces[:folder] + pieces[start:])
        for start in range(len(pieces))
        for folder in reversed(range(len(pieces)))
    )
    yield from dict.fromkeys(names)
