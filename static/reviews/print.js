// Printing: the button is shown where scripts run, and every table of figures is open on paper.

import { findElements } from "../shared/dom.js";

for (const button of findElements(document, "[data-print]", HTMLElement)) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

/** @type {HTMLDetailsElement[]} */
let opened = [];

addEventListener("beforeprint", () => {
  opened = findElements(document, ".chart details:not([open])", HTMLDetailsElement);
  for (const details of opened) details.open = true;
});

addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});
