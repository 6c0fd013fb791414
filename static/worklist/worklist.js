// The worklist: keys, selecting rows, and a list that htmx renews while the focus and the scroll position stay.

import { closestElement, findElement, findElements, requireElement } from "../shared/dom.js";
import { fill } from "../shared/format.js";
import { isTextEntry, singleKeysEnabled } from "../shared/keys.js";

const ROW = "#studies tbody .row";

const list = () => document.getElementById("studies");
const rows = () => findElements(document, ROW, HTMLElement);
const checkboxes = () => findElements(document, "#studies tbody input[name=study]", HTMLInputElement);

/** The id of the row that keys act on: it has the focus, or had it last. */
let currentRow = "";

// --- selecting ---

function showSelection() {
  const all = checkboxes();
  const count = all.filter((checkbox) => checkbox.checked).length;
  const words = findElement(document, ".bulk-count", HTMLElement);
  if (words) {
    const { one = "", many = "" } = words.dataset;
    words.textContent = count === 1 ? one : fill(many, { n: count });
  }
  const selectAll = findElement(document, "#select-all", HTMLInputElement);
  if (!selectAll) return;
  selectAll.checked = count > 0 && count === all.length;
  selectAll.indeterminate = count > 0 && !selectAll.checked;
}

/** @param {boolean} isSelected */
function selectAll(isSelected) {
  for (const checkbox of checkboxes()) checkbox.checked = isSelected;
  showSelection();
}

document.addEventListener("change", ({ target }) => {
  if (!(target instanceof HTMLInputElement)) return;
  if (target.id === "select-all") selectAll(target.checked);
  else if (target.name === "study") showSelection();
});

document.addEventListener("click", ({ target }) => {
  if (closestElement(target, "[data-select-none]")) selectAll(false);
});

// A row opens its study as part of the list: the study's page then knows its neighbours. Without scripts, and in a new
// tab, it opens the study alone.
document.addEventListener("click", (event) => {
  const link = closestElement(event.target, `${ROW} .row-link`);
  const start = findElement(document, "#reading-start", HTMLFormElement);
  if (!link || !start || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  requireElement(start, "[name=study]", HTMLInputElement).value =
    link.closest(".row")?.id.replace("study-", "") ?? "";
  start.requestSubmit();
});

document.addEventListener("submit", ({ target }) => {
  // The filters may have changed since the menu was drawn; the address has them.
  const query = closestElement(target, "[data-save-view]")?.querySelector("[name=query]");
  if (query instanceof HTMLInputElement) query.value = location.search;
});

// --- keys ---

const rowLink = () => findElement(document, `[id="${currentRow}"] .row-link`, HTMLElement);

/** Move the focus by so many rows, from the current one or else to the first. @param {number} step */
function focusRow(step) {
  const all = rows();
  const current = all.findIndex((row) => row.id === currentRow);
  const next = all[current < 0 ? 0 : Math.min(Math.max(current + step, 0), all.length - 1)];
  if (!next) return;
  findElement(next, ".row-link", HTMLElement)?.focus();
  next.scrollIntoView({ block: "nearest" });
}

function toggleRow() {
  const checkbox = findElement(document, `[id="${currentRow}"] input[name=study]`, HTMLInputElement);
  if (!checkbox) return;
  checkbox.checked = !checkbox.checked;
  showSelection();
}

/** @type {Record<string, () => void>} */
const KEYS = {
  j: () => focusRow(1),
  k: () => focusRow(-1),
  o: () => rowLink()?.click(),
  x: toggleRow,
  "/": () => findElement(document, "#q", HTMLInputElement)?.select(),
};

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!(target instanceof HTMLElement)) return;
  if (key === "Escape" && target.id === "q") {
    event.preventDefault(); // browsers would empty a search field
    target.blur();
    return;
  }
  if (!singleKeysEnabled() || isTextEntry(target) || !Object.hasOwn(KEYS, key)) return;
  if (target.closest("dialog[open], details[open]")) return;
  event.preventDefault();
  KEYS[key]();
});

document.addEventListener("focusin", ({ target }) => {
  currentRow = closestElement(target, ROW)?.id ?? currentRow;
});

// --- the address ---

// Without a query the page shows the list that was looked at last. The address names it now, so that going back
// to it, or keeping it, means this list.
const shown = list()?.getAttribute("hx-get");
if (shown && !location.search) history.replaceState(history.state, "", shown);

// --- the list is renewed ---

document.addEventListener("htmx:configRequest", ({ detail }) => {
  const current = list();
  if (current && detail.elt === current) detail.parameters.seen = current.dataset.seen ?? "";
  if (!detail.elt.matches(".filters")) return;
  // The address names filters that are set, and no others.
  for (const name of [...detail.formData.keys()]) {
    if (!detail.formData.get(name)) detail.formData.delete(name);
  }
  if (detail.formData.get("list") === "all" && [...detail.formData.keys()].length > 1)
    detail.formData.delete("list");
});

document.addEventListener("list-unchanged", ({ detail }) => {
  const current = list();
  if (current) current.dataset.seen = detail.value;
});

// The message with the button that undid something goes once that is done.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.successful) detail.elt.closest(".toast")?.remove();
});

/** @type {{row: string, selector: string} | null} where the focus was before a swap */
let focusBefore = null;

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const current = list();
  if (!current || detail.target !== current) return;
  // An answer for filters that were changed meanwhile is too late. The list stays the same element throughout.
  const { elt, path } = detail.requestConfig;
  if (elt.id === "studies" && path !== current.getAttribute("hx-get")) {
    detail.shouldSwap = false;
    return;
  }
  if (elt.matches("form:not(.filters)")) selectAll(false);
  const focused = document.activeElement;
  const row = closestElement(focused, ROW);
  focusBefore = row && { row: row.id, selector: focused?.matches("input") ? "input" : ".row-link" };
});

document.addEventListener("htmx:afterSwap", () => {
  if (focusBefore && (document.activeElement === document.body || !document.activeElement)) {
    const { row, selector } = focusBefore;
    findElement(document, `[id="${row}"] ${selector}`, HTMLElement)?.focus({ preventScroll: true });
  }
  focusBefore = null;
  showSelection();
});

showSelection();
