/**
 * Entry of the radiograph viewer: brings every `figure.viewer` on the page to life, and leads keys
 * and linked views to the right one. The markup is templates/study/viewer/_viewer.html; docs/viewer.md
 * tells people what the tools do.
 *
 * A live figure carries its `Lightbox` as `figure.lightbox`. Figures with the same `data-link` share
 * zoom and place; the attribute may be set or removed at any time.
 */

import { Lightbox } from "./lightbox.js";
import { stageKey } from "./input.js";
import { heedsSingleKeys, shortcut } from "./toolbar.js";

/** @type {Set<Lightbox>} */
const live = new Set();
/** @type {Lightbox | null} */
let lastUsed = null;

/** Start what is new on the page, let go of what has left it. */
function refresh() {
  for (const lightbox of live) {
    if (lightbox.figure.isConnected) continue;
    lightbox.close();
    live.delete(lightbox);
  }
  for (const figure of document.querySelectorAll("figure.viewer")) {
    if (figure.lightbox) continue;
    figure.lightbox = new Lightbox(figure);
    live.add(figure.lightbox);
    figure.lightbox.open();
  }
}

/** The viewer that people have in mind: the one used last, or the first. @returns {Lightbox | undefined} */
function current() {
  return live.has(lastUsed) ? lastUsed : [...live][0];
}

/** The viewer that a key is meant for; keys in a dialog are meant for none. */
function meantBy(target) {
  const figure = target.closest(".viewer");
  if (figure) return figure.lightbox;
  return document.querySelector("dialog:modal") ? undefined : current();
}

/** Letters there are text or choose an option. */
function isTextField(target) {
  const field = "textarea, select, input:not([type=range], [type=radio], [type=checkbox])";
  return target.isContentEditable || target.matches(field);
}

document.addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTextField(target)) return;
  const lightbox = meantBy(target);
  if (!lightbox) return;
  const onStage = target === lightbox.stage.element && stageKey(lightbox, event);
  // Whoever turned single-key shortcuts off keeps what the stage itself heeds.
  if (onStage || (heedsSingleKeys() && lightbox.toolbar.press(shortcut(event)))) event.preventDefault();
});

for (const name of ["pointerdown", "focusin"]) {
  document.addEventListener(name, ({ target }) => {
    lastUsed = target.closest?.(".viewer")?.lightbox ?? lastUsed;
  });
}

document.addEventListener("viewer:moved", ({ target }) => {
  const { link } = target.dataset;
  if (!link || !target.lightbox.linked) return;
  const pose = target.lightbox.view.pose();
  for (const lightbox of live) {
    const other = lightbox.figure;
    if (other !== target && other.dataset.link === link && lightbox.linked) lightbox.follow(pose);
  }
});

// The review panel (static/reviews/panel.js) asks for boxes and shows those of other readers.
document.addEventListener("review:draw", () => current()?.askForRegion());
document.addEventListener("review:boxes", ({ detail }) => {
  for (const lightbox of live) {
    lightbox.showRegions(detail.boxes.filter(({ image }) => image === lightbox.figure.dataset.image));
  }
});

document.addEventListener("htmx:load", refresh);
refresh();
