"""axe-core on every page, in light and dark and on a phone; and a day's way without a mouse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import get_resolver
from playwright.sync_api import Browser, CDPSession, Page, expect
from pyotp import TOTP
from pytest_django.live_server_helper import LiveServer

from tests.browser.scene import Scene, become, build_scene, tab
from tests.factories import PASSWORD, make_bundle
from xrayportal.clinics.models import User
from xrayportal.reviews.models import Review

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.django_db(transaction=True)]

AXE = (Path(__file__).resolve().parent.parent / "vendor" / "axe-core" / "axe.min.js").read_text()
RUN = """async (only) => {
    // Two frames: the colours of another scheme are not there at once.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const rules = only.length ? { runOnly: { type: "rule", values: only } } : {};
    const found = await axe.run(document, { resultTypes: ["violations"], iframes: false, ...rules });
    const words = ({ target, any }) => `${target} ${any.map((check) => check.message)}`;
    return found.violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(words) }));
}"""
NAME = """(element) => (element.getAttribute("aria-label") || element.labels?.[0]?.textContent
    || element.textContent || "").trim()"""
RING = """(element) => {
    const shows = ({ outlineStyle, outlineWidth }) => outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
    return shows(getComputedStyle(element)) || shows(getComputedStyle(element, "::after"));
}"""
#: Dark differs from light by colours alone: there only their rule is asked again.
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "width": 1280, "rules": []},
    "dark": {"color_scheme": "dark", "width": 1280, "rules": ["color-contrast"]},
    "phone": {"color_scheme": "light", "width": 390, "rules": []},
    "phone, dark": {"color_scheme": "dark", "width": 390, "rules": ["color-contrast"]},
}
#: Addresses that answer no page of their own: fragments (each is part of a page), files, forms, probes.
NOT_PAGES = {
    "access-report-csv", "access-report-fhir", "adjudicator", "analysis-cancel", "analysis-request",
    "clinic-operations-retry", "clinic-operations-verify", "clinic-sample", "content-access-end",
    "delivery-again", "delivery-retry", "dicom-add", "dicom-connection", "dicom-remove",
    "finding-file", "healthz",
    "history-export", "image-file", "language", "metrics", "operations-retry", "operations-verify",
    "people-invite", "people-link", "people-reactivate", "people-roles", "reading-start", "readyz",
    "report", "review-save", "review-sign", "review-withdraw", "saved-view-remove", "saved-views",
    "passkey-add", "passkey-challenge", "passkey-options", "passkey-remove", "second-factor-app-remove",
    "second-factor-begin", "second-factor-codes", "second-factor-confirm", "second-factor-open",
    "second-factor-remove",
    "sessions-end", "sign-in-code", "sign-out", "statusz", "stow", "stow-study", "study-correct",
    "study-delete",
    "study-deliveries", "study-history", "study-result", "submission-cancel", "submission-finish",
    "submission-pictures", "submission-progress", "submission-results", "submission-retry",
    "submission-uploads", "token-revoke", "webhook-act", "worklist-bulk-action",
}  # fmt: skip


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    return build_scene()


def visits(scene: Scene) -> dict[str, list[str]]:
    """Who goes where: by the name of a person of the scene, or ``nobody``."""
    study = {name: scene.address("study", found.pk) for name, found in scene.studies.items()}
    lists = ["worklist", "upload", "submissions"]
    clinic, empty = f"/c/{scene.clinic.slug}/", f"/c/{scene.empty.slug}/"
    return {
        "nobody": ["/sign-in/", scene.invitation, "/invitations/x/y/"],
        "uploader": [
            *(scene.address(name) for name in lists),
            scene.address("submission", scene.submission.pk),
            *study.values(),
            f"{study['several views']}?view=2",
            clinic + "nowhere/",
        ],
        "reader": [
            clinic,
            scene.address("disagreements"),
            scene.address("submission", scene.submission.pk),
            scene.address("reading", scene.reading),
            f"{study['blind']}?reading={scene.reading}",
            study["blind"],
            study["opinion"],
            study["signed"],
            study["disagreed"],
            scene.address("review", scene.studies["blind"].pk),
            scene.address("review", scene.studies["opinion"].pk),
        ],
        "admin": [
            scene.address("disagreements"),
            scene.address("history"),
            scene.address("history") + "?verdict=normal&body_part=hip",
            scene.address("scorecard"),
            scene.address("people"),
            scene.address("clinic-settings"),
            scene.address("clinic-operations"),
            scene.address("tokens"),
            scene.address("webhooks"),
            scene.address("webhook", scene.webhook),
            scene.address("dicom-settings"),
            scene.address("access-report"),
            f"{scene.address('access-report')}?q={scene.studies['disagreed'].pk}",
            scene.address("access-report") + "?q=nothing",
            "/password/",
            "/second-factor/",
            "/sessions/",
            "/confirm/",
            "/name/",
            scene.address("model-card", make_bundle().pk),
            study["disagreed"],
        ],
        "traveller": [
            "/",
            empty,
            *(f"{empty}{place}/" for place in ("submissions", "disagreements", "history", "scorecard")),
            f"{empty}setup/",
        ],
        "superuser": ["/", f"{clinic}access/", "/operations/"],
    }


def faults(page: Page) -> Iterator[str]:
    """What axe calls serious or critical, in each look, and a page wider than its window."""
    page.evaluate(AXE)
    for look, how in LOOKS.items():
        page.emulate_media(color_scheme=how["color_scheme"], reduced_motion="reduce")
        page.set_viewport_size({"width": how["width"], "height": 900})
        for fault in page.evaluate(RUN, how["rules"]):
            if fault["impact"] in ("serious", "critical"):
                yield f"{page.url} ({look}) {fault['id']}: " + "; ".join(fault["nodes"][:4])
        yield from too_wide(page, how["width"])


def too_wide(page: Page, window: int) -> Iterator[str]:
    """A page that would have to be moved sideways in a window of that width."""
    if (width := page.evaluate("document.documentElement.scrollWidth")) > window:
        yield f"{page.url}: {width} px wide in a window of {window}"


def faults_of_sheets(page: Page, seen: set[str]) -> Iterator[str]:
    """The same for each dialog of the page that no other page has had."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    for name in page.evaluate("[...document.querySelectorAll('dialog[id]')].map((sheet) => sheet.id)"):
        if name in seen:
            continue
        seen.add(name)
        page.evaluate("(id) => document.getElementById(id).showModal()", name)
        for fault in page.evaluate(RUN, []):
            if fault["impact"] in ("serious", "critical"):
                yield f"{page.url} #{name} {fault['id']}: " + "; ".join(fault["nodes"][:4])
        page.evaluate("(id) => document.getElementById(id).close()", name)


def test_nothing_serious_on_any_page(scene: Scene, browser: Browser, live_server: LiveServer) -> None:
    found: list[str] = []
    sheets: set[str] = set()
    with tab(browser, live_server, None) as context:
        page = context.new_page()
        for person, addresses in visits(scene).items():
            user: User | None = getattr(scene, person, None)
            become(context, live_server, user)
            for number, address in enumerate(addresses):
                page.goto(address)
                if number == 0 and user is not None:
                    page.locator(".sidebar-person > summary").click()
                found += [f"{person}: {fault}" for fault in (*faults(page), *faults_of_sheets(page, sheets))]
    assert not found, "\n".join(found)


def add_authenticator(page: Page) -> CDPSession:
    """Give this page's browser a device that makes passkeys, with a finger that is always there."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    able = {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, **able}})
    return session


def test_nothing_serious_on_the_way_of_a_second_factor(
    scene: Scene, browser: Browser, live_server: LiveServer
) -> None:
    """A passkey and an app are set up and used, to change things and to sign in; each page is looked at."""
    reader, found = scene.reader, []
    with tab(browser, live_server, reader) as context:
        page = context.new_page()
        add_authenticator(page)
        page.goto("/second-factor/")
        page.get_by_label("Current password").fill(PASSWORD)
        page.get_by_role("button", name="Set up").click()
        expect(page.get_by_label("Name of the device")).to_have_value(re.compile("Chrome"))
        found += faults(page)
        page.get_by_label("Name of the device").fill("This computer")
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.locator(".recovery-codes li")).to_have_count(10)
        codes = page.locator(".recovery-codes li").all_inner_texts()
        found += faults(page)
        page.get_by_role("link", name="I have kept them").click()
        expect(page.get_by_role("heading", name="Worklist")).to_be_visible()

        page.goto("/second-factor/")
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_text("has a passkey of yours already")).to_be_visible()
        page.get_by_role("button", name="Set up an app").click()
        expect(page.get_by_alt_text("QR code")).to_be_visible()
        found += faults(page)
        app = TOTP(page.locator("code").inner_text().replace(" ", ""))
        page.get_by_label("Code from the app").fill(app.now())
        page.get_by_role("button", name="Turn on").click()
        expect(page.get_by_text("Authenticator app")).to_be_visible()
        found += faults(page)

        become(context, live_server, None)
        page.goto("/sign-in/")
        page.get_by_label("E-mail address").fill(reader.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_label("Code")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("This code is wrong")).to_be_visible()
        found += faults(page)
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.get_by_role("heading", name="Worklist")).to_be_visible()

        page.goto("/second-factor/")
        found += faults(page)
        page.get_by_role("button", name="Use a passkey").click()
        page.get_by_role("button", name="Remove the passkey This computer").click()
        expect(page.get_by_text("Other devices are signed out.")).to_be_visible()
        expect(page.get_by_text("This computer")).to_have_count(0)

        become(context, live_server, None)
        page.goto("/sign-in/")
        page.get_by_label("E-mail address").fill(reader.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Code").fill(codes[0])
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    assert not found, "\n".join(found)


def test_the_longer_german_words_fit_a_phone(scene: Scene, browser: Browser, live_server: LiveServer) -> None:
    found: list[str] = []
    with tab(browser, live_server, None, locale="de-DE", viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        for person, addresses in visits(scene).items():
            become(context, live_server, getattr(scene, person, None))
            for address in addresses:
                page.goto(address)
                expect(page.locator("html")).to_have_attribute("lang", "de")
                found += [f"{person}: {fault}" for fault in too_wide(page, 390)]
    assert not found, "\n".join(found)


def test_every_page_is_visited(scene: Scene) -> None:
    """A new address is a page to visit above, or named among those that are none."""
    resolver = get_resolver()
    visited = {
        resolver.resolve(address.partition("?")[0]).url_name
        for addresses in visits(scene).values()
        for address in addresses
        if "nowhere" not in address
    }
    names = {name for name in resolver.reverse_dict if isinstance(name, str)}
    assert visited == names - NOT_PAGES


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Page, words: str, *, steps: int = 60) -> None:
    """Press Tab until what has the focus is called that; the focus must be seen."""
    for _ in range(steps):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and re.search(words, focused.evaluate(NAME)):
            assert focused.evaluate(RING), f"{words} does not show that it has the focus"
            return
    pytest.fail(f"Tab does not reach {words} on {page.url}")


def test_sign_in_to_signature_without_a_mouse(
    scene: Scene, browser: Browser, live_server: LiveServer
) -> None:
    study = scene.studies["opinion"]
    with tab(browser, live_server, None) as context:
        page = context.new_page()
        page.goto("/")
        expect(page.get_by_label("E-mail address")).to_be_focused()
        page.keyboard.type("rosa@north.example")
        press(page, "Tab")
        page.keyboard.type(PASSWORD)
        press(page, "Enter")
        expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
        page.wait_for_load_state()  # keys are heeded once the page's scripts have run

        press(page, "Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        press(page, "Enter")
        press(page, "?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        press(page, "Escape", "/")
        expect(page.get_by_label("Search")).to_be_focused()
        page.keyboard.type("P-opinion")
        expect(page.locator("#studies tbody tr")).to_have_count(1)
        tab_to(page, "(^|: )P-opinion$")
        press(page, "Enter")
        expect(page.get_by_role("heading", name="P-opinion")).to_be_visible()
        page.wait_for_load_state()
        expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")

        heatmap = page.get_by_role("button", name="Heatmap", exact=True)
        expect(heatmap).to_have_attribute("aria-pressed", "true")
        tab_to(page, "^Radiograph")
        press(page, "h")
        expect(heatmap).to_have_attribute("aria-pressed", "false")

        press(page, "2")
        expect(page.get_by_role("radio", name="Fracture suspected")).to_be_checked()
        tab_to(page, r"^Sign\s*S?$")  # its key is shown beside its word
        press(page, "Enter")
        expect(page).to_have_url(re.compile("/reading/"))  # it was the last one of its list
    review = Review.objects.get(study=study, is_current=True)
    assert (review.verdict, review.is_signed) == ("abnormal", True)
