// Shortcuts of a single key. People who dictate, or who press keys by accident, can turn them off.

import { findElements } from "./dom.js";
import { remember } from "./storage.js";

const root = document.documentElement;
const TEXT_ENTRY =
  "textarea, select, input:not([type=checkbox], [type=radio], [type=range]), [contenteditable]";

/** Whether shortcuts of a single key work; theme.js reads what was remembered. */
export const singleKeysEnabled = () => root.dataset.singleKeys !== "off";

/** @param {boolean} enabled */
export function enableSingleKeys(enabled) {
  if (enabled) delete root.dataset.singleKeys;
  else root.dataset.singleKeys = "off";
  remember("single-keys", enabled ? "" : "off");
  document.dispatchEvent(new CustomEvent("portal:single-keys"));
}

/** Tell screen readers the shortcuts of `data-shortcut`, and show them on hover, as long as they work. */
export function announceShortcuts() {
  const isEnabled = singleKeysEnabled();
  for (const element of findElements(document, "[data-shortcut]", HTMLElement)) {
    const { shortcut = "", title = element.title } = element.dataset;
    element.dataset.title = title;
    if (title) element.title = isEnabled ? `${title} (${shortcut})` : title;
    if (isEnabled) element.setAttribute("aria-keyshortcuts", shortcut);
    else element.removeAttribute("aria-keyshortcuts");
  }
}

/**
 * Whether a character typed there is text, or chooses an option.
 * @param {EventTarget | null} target of a keyboard event
 */
export function isTextEntry(target) {
  return target instanceof Element && target.closest(TEXT_ENTRY) !== null;
}
