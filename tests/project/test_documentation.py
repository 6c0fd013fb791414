"""A setting, command, endpoint, make target or linked page that is not documented fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import get_resolver

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def variables() -> set[str]:
    """Every variable that the portal, the worker and their starter read."""
    found: set[str] = set()
    for folder in ("xrayportal", "inference_worker"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            found |= set(re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', text))
            found |= set(re.findall(r'environ(?:\.get\(|\[)\s*"([A-Z_]+)"', text))
            found |= set(re.findall(r'\bgiven\("([A-Z_]+)"\)', text))
    return found - {"PATH", "MAKELEVEL", "PYTHONPATH"}  # of every program, not ours


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in (DOCS / "settings.md").read_text()


def test_every_documented_setting_exists() -> None:
    documented = set(re.findall(r"^\| (`[^|]+`) \|", (DOCS / "settings.md").read_text(), re.MULTILINE))
    names = {name for cell in documented for name in re.findall(r"`([A-Z_]+)`", cell)}
    elsewhere = "".join(
        (ROOT / name).read_text()
        for name in (
            *("Makefile", "Procfile", "docker-compose.yml", "gunicorn.conf.py"),
            *("tests/services.py", "tests/conftest.py", "tests/studies/test_object_storage.py"),
        )
    )
    code = "".join(path.read_text() for path in (ROOT / "inference_worker").rglob("*.py"))
    unknown = {name for name in names - variables() if not re.search(rf"\b{name}\b", elsewhere + code)}
    assert unknown == set()


def test_every_command_is_documented() -> None:
    ours = {name for name, app in get_commands().items() if str(app).startswith("xrayportal")}
    text = (DOCS / "running.md").read_text()
    assert {name for name in ours if f"`{name}`" not in text} == set()


def test_every_address_is_documented() -> None:
    names = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    text = "".join(page.read_text() for page in DOCS.rglob("*.md"))
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_every_target_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    assert phony == set(re.findall(r"^(\w+):.*## ", text, re.MULTILINE))


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def test_modules_that_the_architecture_names_exist() -> None:
    named = re.findall(r"`(\w[\w./]*(?:\.py|/))`", (DOCS / "architecture.md").read_text())
    roots = (ROOT, ROOT / "xrayportal", ROOT / "inference_worker")
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []
