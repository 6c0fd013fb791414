/*
 * The review panel: verdict keys, regions, and its place after a swap.
 *
 * Talks with the viewer by events on document; boxes are [x, y, width, height], whole displayed pixels
 * of the image, whose id goes with them:
 *   review:draw         panel → viewer   "let the reader draw one box"; no detail
 *   viewer:box-drawn    viewer → panel   detail {image, box}
 *   review:boxes        panel → viewer   detail {boxes: [{image, box, reader, own}]}: show these, no others
 *   viewer:ready        viewer → panel   asks for review:boxes again (the viewer came later, or anew)
 * The panel draws nothing itself. Without a viewer the regions are entered as figures.
 */
(() => {
  "use strict";

  const KEYS = ["1", "2", "3", "4"];
  const REFUSALS = [404, 409, 422];
  const panel = () => document.getElementById("review-panel");
  const form = () => panel()?.querySelector("[data-review-form]");

  const read = () => {
    try {
      return JSON.parse(form()?.elements.boxes.value || "[]");
    } catch {
      return [];
    }
  };

  function tellViewer() {
    const shown = JSON.parse(panel()?.dataset.boxes || "[]").filter((review) => !(review.own && form()));
    const boxes = shown.flatMap((review) =>
      review.boxes.map((row) => ({ ...row, reader: review.reader, own: review.own })),
    );
    const own = read().map((row) => ({ ...row, reader: "", own: true }));
    document.dispatchEvent(new CustomEvent("review:boxes", { detail: { boxes: [...boxes, ...own] } }));
  }

  function list() {
    const place = form()?.querySelector("[data-region-list]");
    if (!place) return;
    form().querySelector("[data-regions]").hidden = false;
    place.replaceChildren(
      ...read().map((row, index) => {
        const item = document.createElement("li");
        const words = document.createElement("span");
        const [x, y, width, height] = row.box;
        words.textContent = `${width} × ${height} @ ${x}, ${y}`;
        const button = document.createElement("button");
        button.type = "button";
        button.className = "button button-bare button-small";
        button.dataset.removeRegion = index;
        button.textContent = place.dataset.removeWord;
        item.append(words, button);
        return item;
      }),
    );
  }

  function write(rows) {
    if (!form()) return;
    form().elements.boxes.value = JSON.stringify(rows);
    list();
    tellViewer();
  }

  function refresh() {
    list();
    tellViewer();
  }

  function addByFigures() {
    const field = (name) => form().querySelector(`[data-region-${name}]`);
    const names = ["x", "y", "width", "height"];
    const box = names.map((name) => field(name).valueAsNumber);
    const wrong = names.find((name, i) => !(box[i] >= (i < 2 ? 0 : 1)));
    if (wrong) return field(wrong).focus();
    write([...read(), { image: field("image").value, box: box.map(Math.round) }]);
    names.forEach((name) => { field(name).value = ""; });
    field("x").focus();
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-draw-region], [data-add-region], [data-remove-region]");
    if (!target || !form()?.contains(target)) return;
    if ("drawRegion" in target.dataset) document.dispatchEvent(new CustomEvent("review:draw"));
    else if ("addRegion" in target.dataset) addByFigures();
    else write(read().filter((_, index) => index !== Number(target.dataset.removeRegion)));
  });

  document.addEventListener("viewer:box-drawn", (event) => {
    const { image, box } = event.detail;
    write([...read(), { image, box: box.map(Math.round) }]);
  });
  document.addEventListener("viewer:ready", tellViewer);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS.includes(event.key)) return;
    if (document.documentElement.dataset.singleKeys === "off") return;
    // Not by where the focus is: for a moment it may still lie in a sheet that has just closed.
    if (document.querySelector("dialog:modal")) return;
    const writes = "input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]";
    if (event.target.closest(writes)) return;
    const choice = form()?.querySelector(`[data-key="${event.key}"]`);
    if (!choice || choice.offsetParent === null) return;
    event.preventDefault();
    choice.checked = true;
    choice.focus();
  });

  // A refusal is shown in the panel's place, with what was entered.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id === "review-panel" && REFUSALS.includes(event.detail.xhr.status)) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id !== "review-panel") return;
    refresh();
    panel()?.focus({ preventScroll: true });
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", refresh);
  else refresh();
})();
