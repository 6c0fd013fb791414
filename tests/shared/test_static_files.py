"""JavaScript modules as `collectstatic` leaves them, and the pages that load them."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.template.loader import get_template
from django.test import override_settings

ROOT = Path(__file__).resolve().parents[2]
IMPORT = re.compile(r'\b(?:from|import)\s*\(?"(\.[^"\n]+\.js)"')
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
MODULE = re.compile(r"""<script type="module" src="{% static ["']([^"']+)["'] %}">""")
PRELOAD = re.compile(r"""<link rel="modulepreload" href="{% static ["']([^"']+)["'] %}">""")


def imports(folder: Path, name: str) -> set[str]:
    """Names of the modules that a module imports, from the folder of all static files."""
    source = COMMENT.sub("", (folder / name).read_text())
    return {posixpath.normpath(posixpath.join(posixpath.dirname(name), at)) for at in IMPORT.findall(source)}


def graph(folder: Path, *entries: str) -> set[str]:
    """The entries and every module that they bring along."""
    found: set[str] = set()
    waiting = set(entries)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= imports(folder, name) - found
    return found


def sources(pattern: re.Pattern[str], *templates: str) -> set[str]:
    """The static files that a pattern finds in the source of templates."""
    texts = [Path(get_template(name).template.origin.name).read_text() for name in templates]  # type: ignore[attr-defined]
    return {name for text in texts for name in pattern.findall(text)}


def entries() -> set[str]:
    names = [str(path.relative_to(ROOT / "templates")) for path in (ROOT / "templates").rglob("*.html")]
    return sources(MODULE, *names)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from xrayportal.settings import STORAGES

    folder = tmp_path_factory.mktemp("collected")
    backend = {"BACKEND": "xrayportal.web.shared.static_files.HashedStaticFilesStorage"}
    with override_settings(STATIC_ROOT=folder, STORAGES={**STORAGES, "staticfiles": backend}):
        call_command("collectstatic", interactive=False, verbosity=0)
    return folder


def test_every_page_loads_its_modules_by_hashed_names_alone(collected: Path) -> None:
    hashed = json.loads((collected / "staticfiles.json").read_text())["paths"]
    modules = graph(ROOT / "static", *entries())
    assert {"shared/portal.js", "shared/dom.js", "study/viewer/view.js", "submissions/unzip.js"} <= modules
    loaded = graph(collected, *(hashed[name] for name in entries()))
    assert loaded == {hashed[name] for name in modules}
    assert all(re.search(r"\.[0-9a-f]{12}\.js$", name) for name in loaded)


@pytest.mark.parametrize(
    ("entry", "templates"),
    [
        ("shared/portal.js", ["partials/_head_scripts.html"]),
        ("study/viewer/viewer.js", ["partials/_head_scripts.html", "study/viewer/_head.html"]),
    ],
)
def test_modules_are_named_in_the_head_so_that_they_come_at_once(entry: str, templates: list[str]) -> None:
    assert entry in sources(MODULE, *templates)
    expected = graph(ROOT / "static", *sources(MODULE, *templates)) - sources(MODULE, *templates)
    assert sources(PRELOAD, *templates) == expected
