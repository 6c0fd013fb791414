// What every page needs: appearance, menus, messages, sheets and calm polling. No page depends on it to be read.
(() => {
  "use strict";
  const root = document.documentElement;

  function remember(key, value) {
    try {
      if (value) localStorage.setItem(key, value);
      else localStorage.removeItem(key);
    } catch {
      // Storage is refused: the choice lasts for this page.
    }
  }

  // --- appearance ---

  function showTheme() {
    const now = root.dataset.theme ?? "";
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === now));
    }
  }

  function chooseTheme(theme) {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    remember("theme", theme);
    showTheme();
  }

  function toggleRail() {
    const closed = root.dataset.rail !== "closed";
    if (closed) root.dataset.rail = "closed";
    else delete root.dataset.rail;
    remember("rail", closed ? "closed" : "");
  }

  // --- single-key shortcuts: who dictates, or leans on the keyboard, can do without them ---

  const singleKeys = () => root.dataset.singleKeys !== "off";

  function showSingleKeys() {
    for (const box of document.querySelectorAll("[data-single-keys-off]")) box.checked = !singleKeys();
  }

  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-single-keys-off]")) return;
    if (target.checked) root.dataset.singleKeys = "off";
    else delete root.dataset.singleKeys;
    remember("single-keys", target.checked ? "off" : "");
    document.dispatchEvent(new CustomEvent("portal:single-keys"));
  });

  // --- clicks: one listener, so that swapped-in pieces work as well ---

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(target)) menu.open = false;
    }
    const theme = target.closest("[data-theme-choice]");
    if (theme) chooseTheme(theme.dataset.themeChoice);
    if (target.closest("[data-rail-toggle]")) toggleRail();
    target.closest("[data-dismiss]")?.closest(".toast")?.remove();
    const opener = target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens)?.showModal();
    target.closest("[data-closes]")?.closest("dialog")?.close();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || !singleKeys() || event.target.matches("textarea, select, input:not([type=checkbox], [type=radio])")) return;
    if (!document.querySelector("dialog:modal")) document.getElementById("keys-sheet")?.showModal();
  });

  // Success needs no answer; an error stays until it was read, and what can be undone a little longer.
  function fade() {
    for (const toast of document.querySelectorAll(".toast-success, .toast-info")) {
      if ("fades" in toast.dataset) continue;
      toast.dataset.fades = "";
      setTimeout(() => toast.remove(), toast.querySelector("form") ? 20_000 : 8000);
    }
  }

  document.addEventListener("htmx:oobAfterSwap", fade);

  // --- polling: nothing while hidden, at once when seen again, and trouble said in words ---

  const banner = (name) => document.getElementById(`banner-${name}`);
  let signedOut = false;

  function isPoll(element) {
    return element.hasAttribute("data-poll");
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isPoll(event.detail.elt) && (document.hidden || signedOut)) event.preventDefault();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("[data-poll][hx-get]")) htmx.trigger(element, "seen-again");
  });

  function endSession() {
    signedOut = true;
    if (banner("signed-out")) banner("signed-out").hidden = false;
    document.dispatchEvent(new CustomEvent("portal:signed-out"));
  }

  // The answer to a request after the session ended is a 401 or a way to the sign-in page: for a poll and a
  // review, leave the page as it is and say so. Nobody is torn away from what they read or write.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { elt, xhr } = event.detail;
    const wayOut = xhr.getResponseHeader("HX-Redirect") ?? "";
    const signInPage = xhr.responseURL && new URL(xhr.responseURL).pathname.endsWith("/sign-in/");
    const stays = isPoll(elt) || elt.closest("[data-review-form]");
    if (xhr.status === 401 || (stays && (wayOut.includes("/sign-in/") || signInPage))) {
      event.preventDefault();
      endSession();
    }
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr, successful } = event.detail;
    if (!isPoll(elt) || !banner("offline")) return;
    const silent = xhr.status === 0 || xhr.status >= 500;
    if (silent || successful) banner("offline").hidden = !silent;
  });

  // --- swaps keep what the person opened and what the viewer drew ---

  if (window.Idiomorph) {
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, next) =>
      !(old instanceof Element && next instanceof Element && old.hasAttribute("data-keep") && old.id === next.id);
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) =>
      !(name === "open" && element instanceof HTMLDetailsElement);
  }

  document.addEventListener("DOMContentLoaded", () => {
    showTheme();
    showSingleKeys();
    fade();
  });
})();
