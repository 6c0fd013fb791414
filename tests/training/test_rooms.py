"""The rooms of training stand in one order, and each knows only itself and those before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

#: The way from radiographs to a bundle; ``python -m training`` stands above them all.
ROOMS = ("datasets", "network", "learning", "evaluation", "release", "accelerator")
FOLDER = ROOT / "training"


def imported_rooms(path: Path) -> set[str]:
    """The rooms that ``path`` imports from, anywhere in it, type-checking blocks and functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("training.")}


def upward(room: str, imported: set[str]) -> set[str]:
    """Of the rooms ``imported`` by a module of ``room``, those that it must not know."""
    return imported - set(ROOMS[: ROOMS.index(room) + 1])


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_only_those_before_it(room: str) -> None:
    modules = sorted((FOLDER / room).rglob("*.py"))
    assert len(modules) > 1
    strange = {str(path.relative_to(FOLDER)): upward(room, imported_rooms(path)) for path in modules}
    assert not {name: rooms for name, rooms in strange.items() if rooms}


def test_every_module_lies_in_a_room() -> None:
    assert {path.name for path in FOLDER.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.parent.name for path in FOLDER.glob("*/__init__.py")} == set(ROOMS)


def test_an_import_against_the_order_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from training.release import card\nimport training.network.lite0\n")
    assert upward("learning", imported_rooms(module)) == {"release"}
    assert upward("release", imported_rooms(module)) == set()
