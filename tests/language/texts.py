"""Every text that code and templates give to gettext, and what the catalogues hold; no tools needed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent.parent
CATALOGUES = sorted((ROOT / "locale").glob("*/LC_MESSAGES/django.po"))
#: Function and how many of its first arguments are texts; ``pgettext`` has a context before them.
CALLS = {
    "_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "ngettext": 2, "ngettext_lazy": 2,
    "pgettext": 2, "pgettext_lazy": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Text:
    """What is looked up: the context and the singular, as a catalogue keys them, and the plural if any."""

    key: str
    plural: str = ""


@dataclass(frozen=True)
class Entry:
    """One translation of a catalogue; ``words`` has a form for each number that the language tells apart."""

    text: Text
    words: tuple[str, ...]
    is_fuzzy: bool


def texts_in_use() -> dict[Text, str]:
    """Every text with one file that uses it."""
    found: dict[Text, str] = {}
    for path in sorted((ROOT / "xrayportal").rglob("*.py")):
        for text in _in_python(path.read_text()):
            found.setdefault(text, str(path.relative_to(ROOT)))
    for path in sorted(p for p in (ROOT / "templates").rglob("*") if p.suffix in {".html", ".txt"}):
        for text in _in_template(path.read_text()):
            found.setdefault(text, str(path.relative_to(ROOT)))
    return found


def read_catalogue(path: Path) -> list[Entry]:
    """The entries of a ``.po`` file, without its header."""
    entries = []
    for block in re.split(r"\n\n+", path.read_text(encoding="utf-8")):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith('"'):
                fields[name] += ast.literal_eval(line)
            elif match := re.match(r'(msg\w+(?:\[\d\])?) (".*")$', line):
                name = match[1]
                fields[name] = ast.literal_eval(match[2])
        if fields.get("msgid"):
            words = tuple(fields[name] for name in sorted(fields) if name.startswith("msgstr"))
            text = _text(fields.get("msgctxt", ""), fields["msgid"], fields.get("msgid_plural", ""))
            entries.append(Entry(text, words, "fuzzy" in block.partition("msgid")[0]))
    return entries


def placeholders(words: str) -> list[str]:
    """``%(name)s``, ``%d`` and ``{name}``, sorted."""
    return sorted(re.findall(r"%\(\w+\)[sd]|%[sd%]|\{\w+\}", words))


def _text(context: str, singular: str, plural: str = "") -> Text:
    return Text(f"{context}\x04{singular}" if context else singular, plural)


def _in_python(source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        values = [a.value if isinstance(a, ast.Constant) else None for a in node.args[: CALLS.get(name, 0)]]
        if values and all(isinstance(value, str) for value in values):
            context = str(values.pop(0)) if name.startswith("pgettext") else ""
            yield _text(context, *map(str, values))


def _in_template(source: str) -> Iterator[Text]:
    """Django turns a template into calls of gettext for its own tools; the rest of its output is noise."""
    quoted = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    calls = rf"\b(_|gettext|ngettext|pgettext)\(\s*{quoted}(?:\s*,\s*{quoted})?"
    for name, first, second in re.findall(calls, templatize(source)):
        values = [ast.literal_eval(value) for value in (first, second) if value]
        yield _text(*values) if name == "pgettext" else _text("", *values)
