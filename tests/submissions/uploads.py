"""Helpers of the uploader's tests: pictures to send, and the ways to choose and drop them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.factories import PASSWORD, png

UPLOADS = re.compile(r"/uploads/$")
#: A single picture leads to its study.
STUDY = re.compile(r"/c/north/studies/[-0-9a-f]{36}/$")
SUBMISSION = re.compile(r"/c/north/submissions/[-0-9a-f]{36}/$")
Enter = Callable[..., Page]


def sign_in(page: Page, address: str) -> None:
    """Sign in on the page that leads on to the address."""
    page.goto(address)
    page.get_by_label("E-mail address").fill("ines@north.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(address, wait_until="load")  # the scripts listen from here on


def pictures(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"view_{number}.png", "mimeType": "image/png", "buffer": png(text=f"{number:04}")}
        for number in range(count)
    ]


def choose(page: Page, files: list[dict[str, Any]]) -> None:
    page.locator("[data-choose]").first.set_input_files(files)


def choose_folder(page: Page, folder: Path) -> None:
    """Choose a folder by the second button."""
    page.locator("[data-choose]").nth(1).set_input_files(folder)


def drop(page: Page, paths: Sequence[Path]) -> None:
    """Drag files and folders from the disk onto the page: the browser itself hands them over."""
    box = page.locator("h1").bounding_box()
    assert box is not None
    place = {"x": box["x"] + 5, "y": box["y"] + 5}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for step in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": step, **place, "data": data})
    devtools.detach()
