"""Every page in German: what is still English was never given to gettext."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from tests.browser.scene import build_scene
from tests.browser.test_accessibility import visits

pytestmark = pytest.mark.django_db

#: Words that no German sentence has; what people typed in the scene has none of them either.
ENGLISH = re.compile(
    r"\b(the|of|and|with|is|are|not|no|by|for|from|to|this|that|your|you|yet|or|study|studies|image|file"
    r"|sign|save|view|views|search|reader|readers|done|waiting|failed|open|close)\b",
    re.IGNORECASE,
)
#: Attributes that people read or hear.
SPOKEN = {"aria-label", "title", "alt", "placeholder"}
#: The scene's own: names, what a person wrote, commands, addresses, codes of scopes and events.
TYPED = re.compile(
    r"P-[a-z ]+|Look at the ulna\.|An old line\.|manage\.py \w+|view_\d+\.png|test-\d+@1|[\w-]+@[\w.-]+"
    r"|No fracture seen|Open Sans|https?://\S+|\b(?:study|studies|analysis)[.:][a-z]+\b"
)


class Visible(HTMLParser):
    """The texts of a page, and its spoken attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"script", "style", "code"}
        self.texts += [value for name, value in attrs if value and (name in SPOKEN or "data-text" in name)]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style", "code"}

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.texts.append(data.strip())


def test_no_english_is_left() -> None:
    scene = build_scene()
    left: dict[str, set[str]] = {}
    for person, addresses in visits(scene).items():
        client = Client(headers={"accept-language": "de"})
        if person != "nobody":
            client.force_login(getattr(scene, person))
        for address in addresses:
            page = Visible()
            page.feed(client.get(address).content.decode())
            english = {text for text in page.texts if ENGLISH.search(TYPED.sub("", text))}
            for text in english:
                left.setdefault(text, set()).add(address)
    assert not left, "\n".join(f"{text!r} on {sorted(where)[0]}" for text, where in left.items())
