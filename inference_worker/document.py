"""Checks a JSON document: each value must have a type and a range, or an error names its place."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any, cast


class DocumentError(ValueError):
    """A value is missing or wrong. ``str(error)`` names its place and what was expected."""


class Node:
    """A JSON value and its place in the document. Each method returns one type or raises `DocumentError`."""

    def __init__(self, value: Any, where: str) -> None:
        self._value = value
        self._where = where

    def error(self, complaint: str) -> DocumentError:
        return DocumentError(f"{self._where} {complaint}")

    def __getitem__(self, key: str) -> Node:
        value = self.optional(key)
        if value is None:
            raise self.error(f"lacks `{key}`")
        return value

    def optional(self, key: str) -> Node | None:
        value = self.mapping().get(key)
        separator = ": " if self._where.endswith(".json") else "."
        return None if value is None else Node(value, f"{self._where}{separator}{key}")

    def mapping(self) -> dict[str, Any]:
        if not isinstance(self._value, dict):
            raise self.error("must be an object")
        return self._value

    def pairs(self) -> list[tuple[str, Node]]:
        return [(key, Node(value, f"{self._where}.{key}")) for key, value in self.mapping().items()]

    def items(self) -> list[Node]:
        if not isinstance(self._value, list) or not self._value:
            raise self.error("must be a list that is not empty")
        return [Node(value, f"{self._where}[{index}]") for index, value in enumerate(self._value)]

    def text(self) -> str:
        if not isinstance(self._value, str) or not self._value.strip():
            raise self.error("must be a text that is not empty")
        return self._value

    def truth(self) -> bool:
        if not isinstance(self._value, bool):
            raise self.error("must be true or false")
        return self._value

    def texts(self) -> tuple[str, ...]:
        texts = tuple(item.text() for item in self.items())
        if len(set(texts)) != len(texts):
            raise self.error("must not name anything twice")
        return texts

    def one_of(self, *choices: str) -> str:
        if self._value not in choices:
            raise self.error(f"must be one of {', '.join(choices)}")
        return cast(str, self._value)

    def number(self, least: float = -math.inf, most: float = math.inf) -> float:
        is_number = isinstance(self._value, (int, float)) and not isinstance(self._value, bool)
        if not is_number or not math.isfinite(self._value) or not least <= self._value <= most:
            raise self.error(f"must be a number between {least:g} and {most:g}")
        return float(self._value)

    def whole(self, least: int, most: int) -> int:
        value = self.number(least, most)
        if value != int(value):
            raise self.error("must be a whole number")
        return int(value)

    def pair(self, least: float, most: float) -> tuple[float, float]:
        numbers = [item.number(least, most) for item in self.items()]
        if len(numbers) != 2 or numbers[0] > numbers[1]:
            raise self.error("must be two numbers, the smaller first")
        return numbers[0], numbers[1]

    def file_name(self) -> str:
        name = PurePosixPath(self.text())
        if name.is_absolute() or ".." in name.parts or "\\" in str(name):
            raise self.error(f"names {str(name)!r}, which does not lie inside the bundle")
        return str(name)
