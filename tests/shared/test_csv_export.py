"""CSV exports: values as text, and no cell that a spreadsheet would run."""

from __future__ import annotations

import codecs
import csv
import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from xrayportal.csv_export import csv_lines

BERLIN = ZoneInfo("Europe/Berlin")


def table(*rows: list[object], clinic: str = "North") -> list[list[str]]:
    lines = csv_lines(clinic=clinic, zone=BERLIN, columns=["a", "b"], rows=rows)
    content = "".join(lines).encode()
    assert content.startswith(codecs.BOM_UTF8)  # else Excel reads an umlaut as two signs
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def test_a_notice_and_the_columns_come_first() -> None:
    assert table() == [["Research use only. Not a diagnosis.", "North"], ["a", "b"]]


def test_values_become_text() -> None:
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert table([None, True, False, 0.87, 3, moment], ["one, two", 'a "word"'])[2:] == [
        ["", "yes", "no", "0.8700", "3", "2026-07-01T14:00:00+02:00"],
        ["one, two", 'a "word"'],
    ]


def test_the_language_is_that_of_the_call() -> None:
    with translation.override("de"):
        lines = csv_lines(clinic="North", zone=BERLIN, columns=["a"], rows=[])
        notice = translation.gettext("Research use only. Not a diagnosis.")
    assert next(lines).startswith(f"\ufeff{notice}")


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1+1", "' =1+1"),
        ("\N{FULLWIDTH EQUALS SIGN}1+1", "'\N{FULLWIDTH EQUALS SIGN}1+1"),
        ("\t=1", "\t'=1"),
        ("\r=1", "\r'=1"),
        ("P-1;=1+1", "P-1;'=1+1"),
        ('P-1; "=1+1', "P-1;' \"=1+1"),
        ("a;b;@SUM(A1)", "a;b;'@SUM(A1)"),
        ("a|+1", "a|'+1"),
        ("a\n-1;=2", "a\n'-1;'=2"),
        ("a;b=c", "a;b=c"),
        ("P-1", "P-1"),
        ("a-b, =c", "a-b, =c"),
    ],
)
def test_no_cell_begins_a_formula(cell: str, safe: str) -> None:
    notice, _columns, row = table([cell, "", "3"], clinic=cell)
    assert row == [safe, "", "3"]
    assert notice[1] == safe


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "cell",
    ['=1;=2;"=3', 'x;"=HYPERLINK(""a"")";y', "x\t=1\t@a", 'a";=1', "a,b;+1", "a|=1|b", "a\r\n=1", ';;;"";-1'],
)
def test_nor_where_a_spreadsheet_divides_it_otherwise(cell: str, delimiter: str) -> None:
    lines = csv_lines(clinic=cell, zone=BERLIN, columns=["a", "b"], rows=[[cell, "x"], ["y", cell]])
    text = "".join(lines).removeprefix("\ufeff")
    for row in csv.reader(io.StringIO(text), delimiter=delimiter):
        for found in row:
            assert not found.strip(' "').startswith(("=", "+", "-", "@")), (found, text)
