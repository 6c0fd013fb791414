// What every page needs: appearance, menus, sheets, messages and polling. Every page can be read without it.

import { closestElement, findElement, findElements } from "./dom.js";
import { enableSingleKeys, isTextEntry, singleKeysEnabled } from "./keys.js";
import "./polling.js";
import { remember } from "./storage.js";
import { removeToastsLater, unwrapToasts } from "./toasts.js";

const root = document.documentElement;

// --- appearance: theme.js applies what is remembered before the first paint ---

function showTheme() {
  const theme = root.dataset.theme ?? "";
  for (const button of findElements(document, "[data-theme-choice]", HTMLElement)) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
  }
}

/** @param {string | undefined} theme `light` or `dark`; anything empty follows the system */
function chooseTheme(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  remember("theme", theme ?? "");
  showTheme();
}

function toggleSidebar() {
  const isClosed = root.dataset.sidebar !== "closed";
  if (isClosed) root.dataset.sidebar = "closed";
  else delete root.dataset.sidebar;
  remember("sidebar", isClosed ? "closed" : "");
}

function showSingleKeys() {
  for (const box of findElements(document, "[data-single-keys-off]", HTMLInputElement)) {
    box.checked = !singleKeysEnabled();
  }
}

document.addEventListener("change", ({ target }) => {
  if (target instanceof HTMLInputElement && target.matches("[data-single-keys-off]")) {
    enableSingleKeys(!target.checked);
  }
});

/** The current one of tabs that do not all fit is seen, without the page being moved. */
function showCurrentTabs() {
  for (const tab of findElements(document, ".tabs > [aria-current]", HTMLElement)) {
    const tabs = tab.parentElement;
    if (tabs) tabs.scrollLeft = tab.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;
  }
}

// --- clicks: one listener on the document, so that parts that htmx swaps in work as well ---

/** Close all menus but the one that holds the target. @param {EventTarget | null} target */
function closeOtherMenus(target) {
  for (const menu of findElements(document, "details.menu[open]", HTMLDetailsElement)) {
    if (!(target instanceof Node && menu.contains(target))) menu.open = false;
  }
}

/** @param {string | undefined} id of a dialog */
function openSheet(id) {
  const sheet = document.getElementById(id ?? "");
  if (sheet instanceof HTMLDialogElement) sheet.showModal();
}

document.addEventListener("focusin", ({ target }) => closeOtherMenus(target)); // the Tab key leaves a menu

document.addEventListener("click", ({ target }) => {
  if (!(target instanceof Element)) return;
  closeOtherMenus(target);
  const theme = closestElement(target, "[data-theme-choice]");
  if (theme) chooseTheme(theme.dataset.themeChoice);
  if (target.closest("[data-sidebar-toggle]")) toggleSidebar();
  target.closest("[data-dismiss]")?.closest(".toast")?.remove();
  const opener = closestElement(target, "[data-opens]");
  if (opener) openSheet(opener.dataset.opens);
  target.closest("[data-closes]")?.closest("dialog")?.close();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = findElement(document, "details.menu[open]", HTMLDetailsElement);
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary")?.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "?" || !singleKeysEnabled() || isTextEntry(event.target)) return;
  if (!document.querySelector("dialog:modal")) openSheet("keys-sheet");
});

// --- swaps keep what the person opened and what the viewer drew ---

/**
 * Give an element whose contents stay the attributes of the one that comes; those named in `data-live` are its own.
 * @param {HTMLElement} old
 * @param {HTMLElement} next
 */
function takeAttributes(old, next) {
  const live = (old.dataset.live ?? "").split(" ");
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && !live.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

if (window.Idiomorph) {
  const { callbacks } = window.Idiomorph.defaults;
  callbacks.beforeNodeMorphed = (old, next) => {
    if (!(old instanceof HTMLElement && next instanceof HTMLElement) || old.id !== next.id) return true;
    if (next.dataset.keep === "contents") takeAttributes(old, next);
    return !next.hasAttribute("data-keep");
  };
  callbacks.beforeAttributeUpdated = (name, element) =>
    !(name === "open" && element instanceof HTMLDetailsElement);
}

document.addEventListener("htmx:oobBeforeSwap", unwrapToasts);
document.addEventListener("htmx:oobAfterSwap", removeToastsLater);

document.addEventListener("DOMContentLoaded", () => {
  showTheme();
  showSingleKeys();
  showCurrentTabs();
  removeToastsLater();
});
