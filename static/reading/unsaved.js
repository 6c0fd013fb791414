// A review that was begun and not stored: whoever leaves it is asked.

import { closestElement, findElement } from "../shared/dom.js";

const form = () => findElement(document, "[data-review-form]", HTMLFormElement);

/** What each form held when it came. @type {WeakMap<HTMLFormElement, string>} */
const untouched = new WeakMap();
/** What the person was about to do when they were asked. @type {(() => void) | null} */
let pending = null;

/** @param {HTMLFormElement} form */
function contents(form) {
  const fields = [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken");
  return JSON.stringify(fields);
}

function remember() {
  const current = form();
  if (current && !untouched.has(current)) untouched.set(current, contents(current));
}

/** Whether the person entered something that is not stored. */
export function isUnsaved() {
  const current = form();
  if (!current) return false;
  // A form that was refused came with what had been entered.
  return "refused" in current.dataset || untouched.get(current) !== contents(current);
}

/** @param {(() => void) | null} next what to do when the question is answered */
function ask(next) {
  pending = next;
  findElement(document, "#unsaved-sheet", HTMLDialogElement)?.showModal();
}

function goOn() {
  const next = pending;
  pending = null;
  next?.();
}

addEventListener("beforeunload", (event) => {
  if (isUnsaved()) event.preventDefault();
});

document.addEventListener("htmx:confirm", (event) => {
  const { elt, issueRequest } = event.detail;
  if (!elt.matches("[data-leaves]") || !isUnsaved()) return;
  event.preventDefault();
  ask(() => issueRequest(true));
});

document.addEventListener("click", ({ target }) => {
  const answer = closestElement(target, "[data-unsaved]")?.dataset.unsaved;
  if (!answer) return;
  findElement(document, "#unsaved-sheet", HTMLDialogElement)?.close();
  if (answer === "discard") goOn();
  else findElement(document, "[data-review-form] [data-save]", HTMLElement)?.click();
});

// The draft was stored, so the way is free, once that request is over. A refusal, which says why, or "Stay here"
// leaves the person where they are.
document.addEventListener("review-stored", () => setTimeout(goOn));
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.successful) pending = null;
});
document.addEventListener("htmx:afterSwap", remember);
remember();
