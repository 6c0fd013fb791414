/*
 * The review panel: keys for the verdicts and for signing, regions, the sheet on a phone, and the focus after a swap.
 *
 * The panel and the viewer exchange events on document. A box is [x, y, width, height] in whole displayed pixels of
 * the image whose id goes with it:
 *   review:draw         panel → viewer   let the reader draw one box; no detail
 *   viewer:box-drawn    viewer → panel   detail {image, box}
 *   review:boxes        panel → viewer   detail {boxes: [{image, box, reader, own}]}: show these and no others
 *   viewer:ready        viewer → panel   asks for review:boxes again, because a viewer was loaded
 * The panel draws nothing itself. Where there is no viewer, regions are typed as numbers.
 */

/** @import { Region } from "../study/viewer/regions.js" */

import { closestElement, findElement, requireElement } from "../shared/dom.js";
import { isTextEntry, singleKeysEnabled } from "../shared/keys.js";

/** @typedef {Pick<Region, "image" | "box">} ImageBox */
/** @typedef {{reader: string, own: boolean, boxes: ImageBox[]}} ReviewBoxes of one stored review */

const VERDICT_KEYS = ["1", "2", "3", "4"];
/** Statuses of a form that was refused: the answer is the panel with what was entered. */
const REFUSALS = [404, 409, 422];
const BOX_FIELDS = ["x", "y", "width", "height"];

const panel = () => document.getElementById("review-panel");
const form = () => findElement(document, "#review-panel [data-review-form]", HTMLFormElement);

/** @param {HTMLFormElement} form */
const boxesField = (form) => requireElement(form, "[name=boxes]", HTMLInputElement);

/** What the reader has entered and not stored yet. @returns {ImageBox[]} */
function enteredBoxes() {
  const current = form();
  if (!current) return [];
  try {
    return JSON.parse(boxesField(current).value || "[]");
  } catch {
    return [];
  }
}

function showBoxesInViewer() {
  /** @type {ReviewBoxes[]} */
  const stored = JSON.parse(panel()?.dataset.boxes || "[]");
  const isEntering = form() !== null;
  const shown = stored.filter((review) => !(review.own && isEntering));
  const boxes = shown.flatMap(({ boxes, reader, own }) => boxes.map((box) => ({ ...box, reader, own })));
  const entered = enteredBoxes().map((box) => ({ ...box, reader: "", own: true }));
  document.dispatchEvent(new CustomEvent("review:boxes", { detail: { boxes: [...boxes, ...entered] } }));
}

function listBoxes() {
  const current = form();
  const list = current && findElement(current, "[data-region-list]", HTMLElement);
  if (!list) return;
  requireElement(current, "[data-regions]", HTMLElement).hidden = false;
  list.replaceChildren(...enteredBoxes().map(({ box }, index) => boxItem(box, index, list)));
}

/** @param {Region["box"]} box @param {number} index @param {HTMLElement} list */
function boxItem([x, y, width, height], index, list) {
  const item = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = `${width} × ${height} @ ${x}, ${y}`;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button-bare button-small";
  button.dataset.removeRegion = String(index);
  button.textContent = list.dataset.removeWord ?? "";
  item.append(words, button);
  return item;
}

function refresh() {
  listBoxes();
  showMarked();
  showBoxesInViewer();
}

/** @param {ImageBox[]} boxes */
function enterBoxes(boxes) {
  const current = form();
  if (!current) return;
  boxesField(current).value = JSON.stringify(boxes);
  refresh();
}

/** @param {string} image @param {number[]} box */
function addBox(image, box) {
  const [x, y, width, height] = box.map(Math.round);
  enterBoxes([...enteredBoxes(), { image, box: [x, y, width, height] }]);
}

/** @param {HTMLFormElement} form */
function addTypedBox(form) {
  const fields = BOX_FIELDS.map((name) => requireElement(form, `[data-region-${name}]`, HTMLInputElement));
  const box = fields.map((field) => field.valueAsNumber);
  const wrong = fields.find((_, index) => !(box[index] >= (index < 2 ? 0 : 1)));
  if (wrong) {
    wrong.focus();
    return;
  }
  // A select where the study has several views.
  const image = /** @type {HTMLInputElement | HTMLSelectElement} */ (
    requireElement(form, "[data-region-image]", HTMLElement)
  );
  addBox(image.value, box);
  for (const field of fields) field.value = "";
  fields[0].focus();
}

document.addEventListener("click", ({ target }) => {
  const button = closestElement(target, "[data-draw-region], [data-add-region], [data-remove-region]");
  const current = form();
  if (!button || !current?.contains(button)) return;
  const { drawRegion, addRegion, removeRegion } = button.dataset;
  if (drawRegion !== undefined) document.dispatchEvent(new CustomEvent("review:draw"));
  else if (addRegion !== undefined) addTypedBox(current);
  else enterBoxes(enteredBoxes().filter((_, index) => index !== Number(removeRegion)));
});

document.addEventListener("viewer:box-drawn", ({ detail }) => addBox(detail.image, detail.box));
document.addEventListener("viewer:ready", showBoxesInViewer);

/** @param {string} key @returns {boolean} whether there is a verdict to mark with this key */
function markVerdict(key) {
  const current = form();
  const choice = current && findElement(current, `[data-key="${key}"]`, HTMLInputElement);
  if (!choice || !isOffered(current)) return false;
  choice.checked = true;
  choice.focus({ preventScroll: true });
  showMarked();
  return true;
}

/** Sign, or store a draft, with the marked verdict. @param {string} button its selector @returns {boolean} */
function store(button) {
  const current = form();
  const submit = current && findElement(current, button, HTMLButtonElement);
  if (!submit || !isOffered(current)) return false;
  const isMarked = current.querySelector("[name=verdict]:checked") !== null;
  requireElement(current, "[data-needs-verdict]", HTMLElement).hidden = isMarked;
  if (isMarked) submit.click();
  else openSheet(true);
  return true;
}

/** A signed review's form waits behind a button. @param {HTMLFormElement} form */
const isOffered = (form) => form.closest("details:not([open])") === null;

/** Show the marked verdict on the phone's line at the foot. */
function showMarked() {
  const current = form();
  const line = current && findElement(current, "[data-marked]", HTMLElement);
  const marked = current?.querySelector("label:has([name=verdict]:checked) .verdict");
  if (!line) return;
  if (marked) {
    line.replaceChildren(marked.cloneNode(true));
    requireElement(current, "[data-needs-verdict]", HTMLElement).hidden = true;
  } else {
    line.textContent = line.dataset.marked ?? "";
  }
}

/** On a phone the panel comes as a sheet from below. @param {boolean} isOpen */
function openSheet(isOpen) {
  panel()?.toggleAttribute("data-open", isOpen);
  const button = panel()?.querySelector("[data-verdict-sheet]");
  button?.setAttribute("aria-expanded", String(isOpen));
}

document.addEventListener("change", ({ target }) => {
  if (target instanceof HTMLInputElement && target.name === "verdict") showMarked();
});

document.addEventListener("click", ({ target }) => {
  const current = panel();
  if (!current) return;
  if (closestElement(target, "[data-verdict-sheet]")) openSheet(!current.hasAttribute("data-open"));
  else if (target instanceof Node && !current.contains(target)) openSheet(false);
});

document.addEventListener("keydown", (event) => {
  // Where the focus is does not tell: for a moment it may still be in a sheet that has just closed.
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog:modal")) return;
  if (event.key === "Escape") {
    openSheet(false);
    return;
  }
  if (useKey(event) || (event.key === "Enter" && pressesFirstButton(event.target))) event.preventDefault();
});

/** Enter in a field would press the form's first button, which stores a draft. @param {EventTarget | null} target */
const pressesFirstButton = (target) =>
  target instanceof HTMLInputElement && form()?.contains(target) === true;

/** @param {KeyboardEvent} event @returns {boolean} whether the key was one of the panel's */
function useKey({ key, ctrlKey, metaKey, shiftKey, target }) {
  // This one works while a comment is typed, and where shortcuts of a single key are turned off.
  if (ctrlKey || metaKey) return key === "Enter" && store("[data-sign]");
  if (!singleKeysEnabled() || isTextEntry(target)) return false;
  if (VERDICT_KEYS.includes(key)) return markVerdict(key);
  return key.toLowerCase() === "s" && store(shiftKey ? "[data-save]" : "[data-sign]");
}

// A refusal is shown in the panel's place, with what was entered.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target?.id === "review-panel" && REFUSALS.includes(detail.xhr.status)) {
    detail.shouldSwap = true;
    detail.isError = false;
  }
});

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  refresh();
  if (detail.target?.id === "review-panel") panel()?.focus({ preventScroll: true });
});

refresh();
