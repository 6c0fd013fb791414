"""Each catalogue is complete, keeps every placeholder, and is compiled as it stands."""

from __future__ import annotations

import gettext
from pathlib import Path

import pytest
from django.conf import settings

from tests.language.texts import CATALOGUES, Entry, Text, placeholders, read_catalogue, texts_in_use


@pytest.fixture(params=CATALOGUES, ids=lambda path: path.parts[-3])
def catalogue(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def entries(catalogue: Path) -> dict[Text, Entry]:
    return {entry.text: entry for entry in read_catalogue(catalogue)}


def test_every_language_on_offer_has_a_catalogue() -> None:
    languages = {code for code, _ in settings.LANGUAGES}
    assert {path.parts[-3] for path in CATALOGUES} == languages - {settings.LANGUAGE_CODE}


def test_the_search_finds_texts_of_every_kind() -> None:
    texts = {text.key for text in texts_in_use()}
    assert {"Worklist", "%(n)s view", "ordinal\x04%dst", "no fracture seen"} <= texts


def test_nothing_is_missing(entries: dict[Text, Entry]) -> None:
    missing = {text.key: where for text, where in texts_in_use().items() if text not in entries}
    assert missing == {}


def test_nothing_is_left_over(entries: dict[Text, Entry]) -> None:
    assert set(entries) - set(texts_in_use()) == set()


def test_everything_is_translated(entries: dict[Text, Entry]) -> None:
    assert [entry.text.key for entry in entries.values() if entry.is_fuzzy or not all(entry.words)] == []


def test_placeholders_are_kept(entries: dict[Text, Entry]) -> None:
    wrong = [
        (entry.text.key, words)
        for entry in entries.values()
        for words in entry.words
        if placeholders(words)
        not in (placeholders(entry.text.key.split("\x04")[-1]), placeholders(entry.text.plural))
    ]
    assert wrong == []


def test_the_compiled_catalogue_is_this_one(catalogue: Path, entries: dict[Text, Entry]) -> None:
    with catalogue.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]  # all there is to list it
    expected = {}
    for text, entry in entries.items():
        for number, words in enumerate(entry.words):
            expected[(text.key, number) if text.plural else text.key] = words
    assert {key: words for key, words in compiled.items() if key} == expected
