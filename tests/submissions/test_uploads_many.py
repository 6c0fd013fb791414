"""A thousand files at once cost the page no more than the visible ones.

``measure_uploads.py`` sends a thousand for real; here none leaves the browser, so that the suite stays quick.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.factories import png
from tests.network import hold, intercept
from tests.submissions.uploads import UPLOADS, Enter, choose_folder

FILES = 1000


def test_only_rows_in_sight_are_on_the_page(enter: Enter, tmp_path: Path) -> None:
    for number in range(FILES):
        (tmp_path / f"case_{number:04}.png").write_bytes(png(text=f"{number:04}"))
    page = enter("upload/")
    intercept(page, UPLOADS, hold)
    before = page.evaluate("document.getElementsByTagName('*').length")
    choose_folder(page, tmp_path)
    expect(page.locator("[data-summary]")).to_contain_text(f"0 of {FILES} files sent")
    rows = page.locator(".sending-file")
    expect(rows.filter(has_text="Sending")).to_have_count(4)
    assert page.evaluate("document.getElementsByTagName('*').length") - before < 300
    names = rows.locator(".sending-name")
    expect(names.first).to_have_text(f"{tmp_path.name}/case_0000.png")
    expect(rows.first).to_have_attribute("aria-setsize", str(FILES))
    page.locator("[data-files]").focus()
    page.keyboard.press("End")
    expect(names.last).to_have_text(f"{tmp_path.name}/case_{FILES - 1:04}.png")
    expect(names.last).to_be_in_viewport()
    expect(rows.last).to_have_attribute("aria-posinset", str(FILES))
    assert rows.count() < 60
    page.get_by_role("button", name="Pause").click()
    page.locator("[data-files]").focus()
    page.keyboard.press("Home")
    expect(names.first).to_have_text(f"{tmp_path.name}/case_0000.png")
    expect(rows.filter(has_text="Sending")).to_have_count(0)
