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

  function toggleSidebar() {
    const closed = root.dataset.sidebar !== "closed";
    if (closed) root.dataset.sidebar = "closed";
    else delete root.dataset.sidebar;
    remember("sidebar", closed ? "closed" : "");
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

  /** All but the one that holds the target. */
  function closeMenus(target) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(target)) menu.open = false;
    }
  }

  document.addEventListener("focusin", ({ target }) => closeMenus(target)); // Tab leads out of a menu

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    closeMenus(target);
    const theme = target.closest("[data-theme-choice]");
    if (theme) chooseTheme(theme.dataset.themeChoice);
    if (target.closest("[data-sidebar-toggle]")) toggleSidebar();
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

  /** An action that had no answer, or one that nobody shows: the person must not take it for done. */
  function tellFailure() {
    const failed = document.getElementById("toast-failed");
    const toasts = document.querySelector(".toasts");
    if (!failed || !toasts || toasts.querySelector("[data-failed]")) return;
    toasts.append(failed.content.cloneNode(true));
  }

  // --- polling: nothing while hidden, at once when seen again, and trouble said in words ---

  const banner = (name) => document.getElementById(`banner-${name}`);
  const show = (name, shown) => {
    if (banner(name)) banner(name).hidden = !shown;
  };
  let signedOut = false;
  let isGone = false;

  function isPoll(element) {
    return element.hasAttribute("data-poll");
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isPoll(event.detail.elt) && (document.hidden || signedOut || isGone)) event.preventDefault();
  });

  document.addEventListener("visibilitychange", async () => {
    if (document.hidden) return;
    if (signedOut) await comeBack();
    for (const element of document.querySelectorAll("[data-poll][hx-get]")) htmx.trigger(element, "seen-again");
  });

  function endSession() {
    signedOut = true;
    show("signed-out", true);
  }

  /** Whoever signed in again, in another tab, goes on here: with a new token, and as the same person only. */
  async function comeBack() {
    const { renew, person } = banner("signed-out")?.dataset ?? {};
    const answer = renew && (await fetch(renew, { headers: { Accept: "text/html" } }).catch(() => null));
    if (!answer?.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = fresh.querySelector(`[data-person="${person}"] [name=csrfmiddlewaretoken]`)?.value;
    if (!token) return;
    document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": token }));
    for (const input of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) input.value = token;
    signedOut = false;
    show("signed-out", false);
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

  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { elt, xhr, successful } = detail;
    const isSilent = xhr.status === 0 || xhr.status >= 500;
    if (successful || (isSilent && isPoll(elt))) show("offline", isSilent);
    // The clinic, the study or the right to see it went: nothing comes of asking on.
    if (isPoll(elt) && (xhr.status === 403 || xhr.status === 404)) {
      isGone = true;
      show("gone", true);
    }
  });

  for (const trouble of ["htmx:sendError", "htmx:responseError"]) {
    document.addEventListener(trouble, ({ detail }) => {
      if (isPoll(detail.elt)) return;
      tellFailure();
      // A token goes void when the person signs in again in another tab: with a new one they can try again.
      if (detail.xhr.status === 403) comeBack();
    });
  }

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
