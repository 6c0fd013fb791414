// The worklist under the fingers: keys, choosing rows, and a list that renews itself without losing one's place.
(() => {
  "use strict";

  const list = () => document.getElementById("studies");
  const rows = () => [...document.querySelectorAll("#studies tbody .row")];
  const picks = () => [...document.querySelectorAll("#studies tbody input[name=study]")];
  /** The row that keys are about: the one with the focus, or the last that had it. */
  let place = null;

  // --- choosing ---

  function countPicks() {
    const all = document.getElementById("pick-all");
    const chosen = picks().filter((pick) => pick.checked).length;
    const said = document.querySelector(".bulk-count");
    if (said) said.textContent = chosen === 1 ? said.dataset.one : said.dataset.many.replace("{n}", String(chosen));
    if (!all) return;
    all.checked = chosen > 0 && chosen === picks().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }

  function pickAll(on) {
    for (const pick of picks()) pick.checked = on;
    countPicks();
  }

  document.addEventListener("change", ({ target }) => {
    if (target.id === "pick-all") pickAll(target.checked);
    else if (target.name === "study") countPicks();
  });

  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("[data-pick-none]")) pickAll(false);
  });

  document.addEventListener("submit", ({ target }) => {
    // The filters may have changed since the menu was drawn; the address has them.
    if (target.matches("[data-save-view]")) target.elements.query.value = location.search;
  });

  // --- keys ---

  function go(step) {
    const all = rows();
    const here = all.findIndex((row) => row.id === place);
    const next = all[here < 0 ? 0 : Math.min(Math.max(here + step, 0), all.length - 1)];
    next?.querySelector(".row-link").focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  function toggle() {
    const pick = document.getElementById(place)?.querySelector("input[name=study]");
    if (!pick) return;
    pick.checked = !pick.checked;
    countPicks();
  }

  const KEYS = {
    j: () => go(1),
    k: () => go(-1),
    o: () => document.getElementById(place)?.querySelector(".row-link").click(),
    x: toggle,
    "/": () => document.getElementById("q")?.select(),
  };

  const TEXT = "textarea, select, input:not([type=checkbox])";

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Escape" && target.id === "q") {
      event.preventDefault(); // browsers would empty a search field
      target.blur();
      return;
    }
    if (document.documentElement.dataset.singleKeys === "off") return;
    if (target.matches(TEXT) || target.closest("dialog[open], details[open]") || !Object.hasOwn(KEYS, key)) return;
    event.preventDefault();
    KEYS[key]();
  });

  document.addEventListener("focusin", ({ target }) => {
    place = target.closest("#studies tbody .row")?.id ?? place;
  });

  // --- the list renews itself ---

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.elt === list()) detail.parameters.seen = list().dataset.seen;
    if (!detail.elt.matches(".filters")) return;
    // An address tells what is filtered, not what is not.
    for (const name of [...detail.formData.keys()]) {
      if (!detail.formData.get(name)) detail.formData.delete(name);
    }
  });

  document.addEventListener("list-unchanged", ({ detail }) => {
    if (list()) list().dataset.seen = detail.value;
  });

  // What was undone needs its message no more.
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.successful) detail.elt.closest(".toast")?.remove();
  });

  let held = null;

  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== list()) return;
    // An answer for filters that were changed meanwhile is too late. The list itself is the same element all along.
    const { elt: asked, path } = detail.requestConfig;
    if (asked.id === "studies" && path !== list().getAttribute("hx-get")) {
      detail.shouldSwap = false;
      return;
    }
    if (asked.matches("form:not(.filters)")) pickAll(false);
    const row = document.activeElement?.closest("#studies tbody .row");
    held = row && { row: row.id, on: document.activeElement.matches("input") ? "input" : ".row-link" };
  });

  document.addEventListener("htmx:afterSwap", () => {
    if (held && (document.activeElement === document.body || !document.activeElement)) {
      document.getElementById(held.row)?.querySelector(held.on)?.focus({ preventScroll: true });
    }
    held = null;
    countPicks();
  });

  countPicks();
})();
