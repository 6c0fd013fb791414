"""Keys of the viewer: what they do, and fields in which they are text."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.study.viewer.hands import expect_figures, tool


@pytest.mark.parametrize(
    ("key", "name"),
    [("h", "Heatmap"), ("c", "Outline instead of the full heatmap"), ("p", "Peak"), ("i", "Invert")],
)
def test_a_key_switches_as_its_button_does(page: Page, key: str, name: str) -> None:
    before = tool(page, name).get_attribute("aria-pressed")
    page.keyboard.press(key)
    expect(tool(page, name)).to_have_attribute("aria-pressed", "false" if before == "true" else "true")
    tool(page, name).click()
    expect(tool(page, name)).to_have_attribute("aria-pressed", str(before))


def test_the_picture_alone_is_shown_as_long_as_a_key_or_the_button_is_held(page: Page) -> None:
    button, figure = tool(page, "Hold to see the picture alone"), page.locator("figure.viewer")

    def expect_bare(bare: bool) -> None:
        expect(button).to_have_attribute("aria-pressed", "true" if bare else "false")
        expect(figure).not_to_have_attribute("data-heat", "") if bare else expect(figure).to_have_attribute(
            "data-heat", ""
        )

    page.keyboard.down("u")
    page.keyboard.down("u")  # as a held key repeats
    expect_bare(True)
    page.keyboard.press("Shift")
    expect_bare(True)
    page.keyboard.up("u")
    expect_bare(False)
    page.keyboard.down("u")
    page.evaluate("window.dispatchEvent(new Event('blur'))")  # the key is let go in another window
    expect_bare(False)
    page.keyboard.up("u")
    button.hover()
    page.mouse.down()
    expect_bare(True)
    page.mouse.move(5, 5)
    expect_bare(True)
    page.mouse.up()
    expect_bare(False)
    button.focus()
    page.keyboard.down(" ")
    expect_bare(True)
    page.keyboard.up(" ")
    expect_bare(False)


def test_turning_and_mirroring_is_written_on_the_picture(page: Page) -> None:
    words = page.locator("[data-show=pose]")
    expect(words).to_be_hidden()
    page.keyboard.press("r")
    page.keyboard.press("m")
    page.keyboard.press("i")
    expect(words).to_have_text("Mirrored · Rotated 270° · Inverted")
    page.keyboard.press("x")
    expect(words).to_be_hidden()


def test_zoom_keys(page: Page) -> None:
    expect_figures(page, "123 %")
    page.keyboard.press("a")
    expect_figures(page, "100 %")
    page.keyboard.press("+")
    expect_figures(page, "125 %")
    page.keyboard.press("-")
    page.keyboard.press("-")
    expect_figures(page, "80 %")
    page.keyboard.press("0")
    expect_figures(page, "123 %")


def test_keys_are_text_in_a_text_field_and_the_browsers_with_ctrl(page: Page) -> None:
    page.locator("#comment").fill("")
    page.keyboard.type("hira")
    expect(page.locator("#comment")).to_have_value("hira")
    expect(tool(page, "Heatmap")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-show=pose]")).to_be_hidden()
    page.keyboard.press("Control+a")
    page.locator("#comment").blur()
    page.keyboard.press("Control+i")
    expect(page.locator("[data-show=pose]")).to_be_hidden()


def test_the_toolbar_is_one_tab_stop(page: Page) -> None:
    tool(page, "Move").focus()
    page.keyboard.press("ArrowRight")
    expect(tool(page, "Window and level")).to_be_focused()
    page.keyboard.press("End")
    expect(tool(page, "Full screen")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tool(page, "Move")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Window", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(tool(page, "Heatmap")).to_be_focused()


def test_what_works_is_announced_once_and_nothing_else(page: Page) -> None:
    announced = page.locator("[aria-keyshortcuts]")
    lists = announced.evaluate_all("all => all.map(one => one.ariaKeyShortcuts)")
    keys = " ".join(lists).split()
    assert "H" in keys
    assert len(keys) == len(set(keys))
    expect(tool(page, "Heatmap")).to_have_attribute("title", "Heatmap (H)")

    def turn(how: str) -> None:
        """Turn single keys on or off, as the sheet of keys does."""
        page.evaluate(f"{how}; document.dispatchEvent(new CustomEvent('portal:single-keys'))")

    turn("document.documentElement.dataset.singleKeys = 'off'")
    expect(announced).to_have_count(0)
    expect(tool(page, "Heatmap")).to_have_attribute("title", "Heatmap")
    turn("delete document.documentElement.dataset.singleKeys")
    expect(announced).to_have_count(len(lists))
