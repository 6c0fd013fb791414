// A fresh CSRF token: the one in a page goes void when its person signs in again in another tab.

import { findElement } from "./dom.js";

/** The portal answered with its sign-in page. */
export class SignedOutError extends Error {}

/**
 * Take the token out of a page of the portal.
 * @param {string} address of a page with a form
 * @param {string} [within] selector of an element around the token
 * @returns {Promise<string | undefined>} undefined where the page has none
 * @throws {SignedOutError}
 * @throws {TypeError} where the portal does not answer
 */
export async function fetchToken(address, within = "") {
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  const asked = new URL(address, location.href);
  if (new URL(response.url).pathname !== asked.pathname) throw new SignedOutError();
  if (!response.ok) return undefined;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return findElement(page, `${within} [name=csrfmiddlewaretoken]`.trim(), HTMLInputElement)?.value;
}
