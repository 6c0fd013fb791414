/**
 * Entry of the radiograph viewer: makes every `figure.viewer` of the page live, and passes keys and the movements of
 * linked viewers on to the right one. The markup is templates/study/viewer/_viewer.html; docs/viewer.md tells people
 * what the tools do.
 *
 * A live figure carries its `Lightbox` as `figure.lightbox`. Figures with the same `data-link` share zoom and place;
 * the attribute may be set or removed at any time.
 */

import { closestElement, findElements } from "../../shared/dom.js";
import { isTextEntry, singleKeysEnabled } from "../../shared/keys.js";
import { useStageKey } from "./input.js";
import { Lightbox } from "./lightbox.js";
import { shortcut } from "./toolbar.js";

/** @type {Set<Lightbox>} */
const live = new Set();
/** @type {Lightbox | undefined} */
let lastUsed;
/** The key that holds a picture bare, as `KeyboardEvent.code`. */
let held = "";

/** Start the viewers that are new on the page, close those that are gone, let the others show what they hold now. */
function refresh() {
  for (const lightbox of live) {
    if (lightbox.figure.isConnected) continue;
    lightbox.close();
    live.delete(lightbox);
  }
  for (const figure of findElements(document, "figure.viewer", HTMLElement)) {
    figure.lightbox ??= new Lightbox(figure);
    live.add(figure.lightbox);
    figure.lightbox.show();
  }
}

/** The viewer that was used last, or else the first. @returns {Lightbox | undefined} */
function currentViewer() {
  return lastUsed && live.has(lastUsed) ? lastUsed : [...live][0];
}

/** The viewer that a key is for; a key in a dialog is for none. @param {EventTarget | null} target */
function viewerForKey(target) {
  const figure = closestElement(target, ".viewer");
  if (figure) return figure.lightbox;
  return document.querySelector("dialog:modal") ? undefined : currentViewer();
}

document.addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTextEntry(target)) return;
  const lightbox = viewerForKey(target);
  if (!lightbox) return;
  const isStageKey = target === lightbox.stage.element && useStageKey(lightbox, event);
  const wasBare = lightbox.bare;
  // The stage's own keys work also where shortcuts of a single key are turned off.
  if (isStageKey || (singleKeysEnabled() && lightbox.toolbar.press(shortcut(event)))) event.preventDefault();
  if (lightbox.bare && !wasBare) held = event.code;
});

function letGo() {
  held = "";
  for (const lightbox of live) lightbox.setBare(false);
}

document.addEventListener("keyup", ({ code }) => {
  if (held && code === held) letGo();
});
// The key may be let go in another window.
addEventListener("blur", letGo);

/** @param {Event} event */
function rememberUse({ target }) {
  lastUsed = closestElement(target, ".viewer")?.lightbox ?? lastUsed;
}

document.addEventListener("pointerdown", rememberUse);
document.addEventListener("focusin", rememberUse);

document.addEventListener("viewer:moved", ({ target }) => {
  if (!(target instanceof HTMLElement) || !target.lightbox) return;
  const { link } = target.dataset;
  if (!link || !target.lightbox.linked) return;
  const pose = target.lightbox.view.pose();
  for (const lightbox of live) {
    const { figure } = lightbox;
    if (figure !== target && figure.dataset.link === link && lightbox.linked) lightbox.follow(pose);
  }
});

// The review panel (static/reviews/panel.js) asks for boxes, and has those of other readers shown.
document.addEventListener("review:draw", () => currentViewer()?.askForRegion());
document.addEventListener("review:boxes", ({ detail }) => {
  for (const lightbox of live) {
    lightbox.showRegions(detail.boxes.filter(({ image }) => image === lightbox.figure.dataset.image));
  }
});

document.addEventListener("htmx:load", refresh);
document.addEventListener("htmx:afterSwap", refresh);
refresh();
