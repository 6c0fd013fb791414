// Messages over the page.

import { findElement, findElements } from "./dom.js";

const SHOWN_MS = 8000;
/** Of a message with a button that undoes what was done. */
const UNDO_SHOWN_MS = 20_000;

/** Messages of success need no answer and go after a while; an error stays until a person closes it. */
export function removeToastsLater() {
  // Of two that replace each other the newer one stays.
  for (const toast of findElements(document, ".toast[data-replaces]", HTMLElement).slice(0, -1))
    toast.remove();
  for (const toast of findElements(document, ".toast-success, .toast-info", HTMLElement)) {
    if ("fades" in toast.dataset) continue;
    toast.dataset.fades = "";
    // Of one that is gone by then, the timer keeps nothing: a person signs a study every few seconds.
    const shown = new WeakRef(toast);
    setTimeout(() => shown.deref()?.remove(), toast.querySelector("form") ? UNDO_SHOWN_MS : SHOWN_MS);
  }
}

/**
 * Only the messages themselves come onto the page. Beside the extension for morphing htmx would also insert the
 * element that carries them, of which every answer would leave an empty one behind.
 * @param {CustomEvent<HtmxOobDetail>} event
 */
export function unwrapToasts({ detail: { target, fragment } }) {
  if (target.matches(".toasts")) fragment.replaceChildren(...fragment.querySelectorAll(".toast"));
}

/** Say that an action failed, so that nobody takes it for done. One such message at a time. */
export function showFailureToast() {
  const failure = findElement(document, "#toast-failed", HTMLTemplateElement);
  const toasts = document.querySelector(".toasts");
  if (!failure || !toasts || toasts.querySelector("[data-failed]")) return;
  toasts.append(failure.content.cloneNode(true));
}
