"""The rooms of the portal import in one direction: each only what stands above it in the list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: From the ground up. Modules of the same line may import each other.
ROOMS = (
    {"settings", "environment", "logs", "telemetry", "offline_settings", "liveness", "broker", "celery"},
    {"http_worker"},
    {"words", "triggers", "prepared", "csv_export", "encryption", "hosts", "rows"},
    {"security"},
    {"admin"},
    {"audit"},
    {"clinics"},
    {"tokens"},
    {"studies"},
    {"analyses"},
    {"access"},
    {"reviews"},
    {"worklist"},
    {"intake"},
    {"dicom"},
    {"webhooks"},
    {"access_report"},
    {"operations"},
    {"web"},
    {"api"},
    {"urls", "wsgi"},
    {"embedded"},
)
PLACE = {f"xrayportal.{name}": place for place, names in enumerate(ROOMS) for name in names}


def room_of(name: str) -> str:
    """``xrayportal.web`` of ``xrayportal.web.study.views``."""
    return ".".join(name.split(".")[:2])


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it, type-checking imports included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide their room"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports() -> Iterator[tuple[Path, str, str]]:
    """File, its room and a room that it imports, for every import of the portal."""
    for path in sorted((ROOT / "xrayportal").rglob("*.py")):
        if path.parent == ROOT / "xrayportal" and path.name == "__init__.py":
            continue
        room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in imported(path):
            if name.startswith("xrayportal.") and room_of(name) != room:
                yield path, room, room_of(name)


def test_every_room_is_in_the_list() -> None:
    folder = ROOT / "xrayportal"
    found = {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {f"xrayportal.{name}" for name in found - {"__init__"}} == PLACE.keys()


def test_no_room_imports_one_below_it() -> None:
    against = [
        f"{path.relative_to(ROOT)} imports {target}"
        for path, room, target in imports()
        if PLACE[target] > PLACE[room]
    ]
    assert against == []


def test_nothing_in_the_portal_imports_the_worker() -> None:
    worker = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "xrayportal").rglob("*.py")
        if any(name.startswith("inference_worker.celery_worker") for name in imported(path))
    ]
    assert worker == []
