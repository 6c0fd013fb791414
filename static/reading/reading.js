// Study after study: keys to the neighbours and to the views, pictures fetched ahead, and answers that come too late.

/** @import { Coming } from "../study/viewer/ahead.js" */

import { findElement, findElements } from "../shared/dom.js";
import { announceShortcuts, isTextEntry, singleKeysEnabled } from "../shared/keys.js";
import { prepare } from "../study/viewer/ahead.js";
import "./unsaved.js";

const STUDY_IN_PATH = /\/studies\/([-0-9a-f]{36})\//;

/** @param {string} selector */
const press = (selector) => findElement(document, selector, HTMLElement)?.click();

/** Show the next or previous view of the study, round and round. @param {number} step */
function showView(step) {
  const views = findElements(document, ".views .view", HTMLElement);
  const shown = views.findIndex((view) => view.getAttribute("aria-current") === "true");
  if (views.length > 1) views[(shown + step + views.length) % views.length].click();
}

/** @type {Record<string, () => void>} */
const KEYS = {
  j: () => press("#reading-next"),
  k: () => press("#reading-previous"),
  q: () => showView(-1),
  e: () => showView(1),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (!singleKeysEnabled() || isTextEntry(event.target) || !Object.hasOwn(KEYS, event.key)) return;
  if (document.querySelector("dialog:modal")) return;
  event.preventDefault();
  KEYS[event.key]();
});

document.addEventListener("portal:single-keys", announceShortcuts);
document.addEventListener("htmx:afterSwap", announceShortcuts);
announceShortcuts();

/** Fetch what comes next. */
function fetchAhead() {
  /** @type {Coming[]} */
  const coming = findElements(document, "[data-ahead]", HTMLElement).flatMap((element) =>
    JSON.parse(element.dataset.ahead || "[]"),
  );
  prepare(coming);
}

// The picture in sight comes first: the others are fetched once it is painted.
const fetchAheadSoon = () => requestAnimationFrame(() => setTimeout(fetchAhead));
document.addEventListener("viewer:ready", fetchAheadSoon);

/** Where no picture will be ready, or was so before this script ran, nothing is waited for. */
function fetchAheadWithoutPicture() {
  if (!document.querySelector("figure.viewer:not([data-ready])")) fetchAheadSoon();
}
fetchAheadWithoutPicture();

// What was asked about one study must not be shown beside another.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { target, requestConfig } = detail;
  const study = findElement(document, "[data-study]", HTMLElement)?.dataset.study;
  const asked = STUDY_IN_PATH.exec(requestConfig.path)?.[1];
  if (target.id !== "page" && study && asked && asked !== study) detail.shouldSwap = false;
  if (target.id === "page" && detail.shouldSwap) setAside(target);
});

/** What stood beside the study before, while the next one is swapped in. */
const aside = document.createElement("div");
aside.hidden = true;

/**
 * Another study comes with a form of its own: nothing that was entered in the one before is carried over. What sent the
 * request stays in the document until the swap is over, because htmx looks from there for the extension that swaps.
 * @param {Element} page
 */
function setAside(page) {
  const side = findElement(page, ".reading-side", HTMLElement);
  if (side) aside.replaceChildren(...side.childNodes);
  document.body.append(aside);
}

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "page") return;
  aside.remove();
  aside.replaceChildren();
  fetchAheadWithoutPicture();
  scrollTo({ top: 0 });
  // The element that had the focus went with the study before.
  if (document.activeElement === document.body)
    document.getElementById("main")?.focus({ preventScroll: true });
});

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.successful) detail.elt.closest(".toast")?.remove();
});
