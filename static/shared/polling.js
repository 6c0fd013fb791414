// Parts of a page that ask for news: none while the page is hidden, at once when it is seen again. A banner says
// what is wrong: the session ended, the portal does not answer, or what is shown here was deleted.

import { fetchToken } from "./csrf.js";
import { findElements } from "./dom.js";
import { showFailureToast } from "./toasts.js";

/** @typedef {"signed-out" | "offline" | "gone"} Banner */

let isSignedOut = false;
let isGone = false;

/** @param {Banner} name */
const banner = (name) => document.getElementById(`banner-${name}`);

/**
 * Say it at the top of the page, and at the buttons that have a `data-trouble` of this name.
 * @param {Banner} name
 * @param {boolean} isShown
 */
function showBanner(name, isShown) {
  const element = banner(name);
  if (element) element.hidden = !isShown;
  for (const hint of findElements(document, `[data-trouble="${name}"]`, HTMLElement)) hint.hidden = !isShown;
}

/** @param {Element} element */
function isPolling(element) {
  return element.hasAttribute("data-poll");
}

/** Does the page ask for this by itself: a poll, or what is fetched when it comes into sight? @param {Element} element */
function asksByItself(element) {
  return isPolling(element) || (element.getAttribute("hx-trigger") ?? "").startsWith("intersect");
}

/** After the person signed in again in another tab: go on with a new token, for the same person only. */
async function resumeSession() {
  const { renew, person } = banner("signed-out")?.dataset ?? {};
  if (!renew) return;
  const token = await fetchToken(renew, `[data-person="${person}"]`).catch(() => undefined);
  if (!token) return;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": token }));
  for (const input of findElements(document, "input[name=csrfmiddlewaretoken]", HTMLInputElement)) {
    input.value = token;
  }
  isSignedOut = false;
  showBanner("signed-out", false);
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (isPolling(event.detail.elt) && (document.hidden || isSignedOut || isGone)) event.preventDefault();
});

document.addEventListener("visibilitychange", async () => {
  if (document.hidden) return;
  if (isSignedOut) await resumeSession();
  for (const element of document.querySelectorAll("[data-poll][hx-get]")) htmx.trigger(element, "seen-again");
});

// After the session ended a request is answered by a 401 or by the way to the sign-in page. For what the page asks by
// itself and for a review the page stays as it is and says so: nobody loses what they are reading or writing.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const { elt, xhr } = event.detail;
  const redirect = xhr.getResponseHeader("HX-Redirect") ?? "";
  const isSignInPage = xhr.responseURL && new URL(xhr.responseURL).pathname.endsWith("/sign-in/");
  const staysHere = asksByItself(elt) || elt.closest("[data-review-form], [data-leaves], .views");
  if (xhr.status === 401 || (staysHere && (redirect.includes("/sign-in/") || isSignInPage))) {
    event.preventDefault();
    isSignedOut = true;
    showBanner("signed-out", true);
  }
});

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const { elt, xhr, successful } = detail;
  const isPoll = isPolling(elt);
  const isUnanswered = xhr.status === 0 || xhr.status >= 500;
  if (successful || isUnanswered) showBanner("offline", isUnanswered);
  // The clinic, the study or the right to see it is gone: further polls would be refused as well.
  if (isPoll && (xhr.status === 403 || xhr.status === 404)) {
    isGone = true;
    showBanner("gone", true);
  }
});

/** @param {CustomEvent<HtmxDetail>} event */
function onFailure({ detail }) {
  if (isPolling(detail.elt)) return;
  showFailureToast();
  // A token goes void when the person signs in again in another tab: with a new one they can try again.
  if (detail.xhr.status === 403) resumeSession();
}

document.addEventListener("htmx:sendError", onFailure);
document.addEventListener("htmx:responseError", onFailure);
