// Passkeys (WebAuthn): makes one for the form that adds it, and uses one in forms that ask for a code or a passkey.

import { findElement, findElements, requireElement } from "../shared/dom.js";

const canUse = window.isSecureContext && "PublicKeyCredential" in window;

/** The portal refused, with a sentence. */
class RefusedError extends Error {}

/** @param {string} text base64url @returns {ArrayBuffer} */
function toBytes(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (sign) => sign.charCodeAt(0)).buffer;
}

/** @param {ArrayBuffer} buffer @returns {string} base64url */
function toText(buffer) {
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @param {{ id: string }[] | undefined} list @returns {any[]} the same, with bytes */
const withBytes = (list) => (list ?? []).map((entry) => ({ ...entry, id: toBytes(entry.id) }));

/**
 * Ask the portal for options with a new challenge.
 * @param {HTMLFormElement} form whose token is sent along
 * @param {string | undefined} address
 * @returns {Promise<any>} with text where the browser takes bytes
 * @throws {RefusedError}
 * @throws {TypeError} where the portal does not answer
 */
async function fetchOptions(form, address) {
  const token = requireElement(form, "[name=csrfmiddlewaretoken]", HTMLInputElement).value;
  const response = await fetch(address ?? "", {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRFToken": token },
  });
  if (response.ok) return (await response.json()).publicKey;
  const isJson = response.headers.get("Content-Type")?.includes("json");
  throw new RefusedError(isJson ? (await response.json()).sentence : undefined);
}

/** @param {any} options @returns {Promise<object>} the answer as the portal reads it */
async function makePasskey(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: toBytes(options.challenge),
      user: { ...options.user, id: toBytes(options.user.id) },
      excludeCredentials: withBytes(options.excludeCredentials),
    },
  });
  if (!(made instanceof PublicKeyCredential)) throw new DOMException("", "NotAllowedError");
  const answer = /** @type {AuthenticatorAttestationResponse} */ (made.response);
  return {
    id: made.id,
    rawId: toText(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: toText(answer.clientDataJSON),
      attestationObject: toText(answer.attestationObject),
    },
  };
}

/** @param {any} options @returns {Promise<object>} the answer as the portal reads it */
async function usePasskey(options) {
  const used = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: toBytes(options.challenge),
      allowCredentials: withBytes(options.allowCredentials),
    },
  });
  if (!(used instanceof PublicKeyCredential)) throw new DOMException("", "NotAllowedError");
  const answer = /** @type {AuthenticatorAssertionResponse} */ (used.response);
  return {
    id: used.id,
    rawId: toText(used.rawId),
    type: used.type,
    response: {
      clientDataJSON: toText(answer.clientDataJSON),
      authenticatorData: toText(answer.authenticatorData),
      signature: toText(answer.signature),
    },
  };
}

/**
 * Let the device answer, and send the form with what it said; else tell why not.
 * @param {HTMLFormElement} form
 * @param {HTMLElement} part of the page with the words, the address and a place for an error
 * @param {string | undefined} address
 * @param {(options: any) => Promise<object>} ask
 */
async function answer(form, part, address, ask) {
  const error = requireElement(part, "[role=alert]", HTMLElement);
  const button = requireElement(part, "button", HTMLButtonElement);
  error.hidden = true;
  button.disabled = true;
  try {
    const said = await ask(await fetchOptions(form, address));
    requireElement(form, "[name=passkey]", HTMLInputElement).value = JSON.stringify(said);
    form.submit();
  } catch (reason) {
    const words = part.dataset;
    if (reason instanceof RefusedError) error.textContent = reason.message || (words.unreachable ?? "");
    else if (reason instanceof TypeError) error.textContent = words.unreachable ?? "";
    else if (reason instanceof DOMException && reason.name === "InvalidStateError")
      error.textContent = words.known ?? "";
    else if (reason instanceof DOMException) error.textContent = words.declined ?? "";
    else throw reason;
    error.hidden = false;
    button.disabled = false;
  }
}

for (const part of findElements(document, "[data-passkey-use]", HTMLElement)) {
  const form = part.closest("form");
  if (!canUse || !form) continue;
  part.hidden = false;
  requireElement(part, "button", HTMLButtonElement).addEventListener("click", () =>
    answer(form, part, part.dataset.passkeyUse, usePasskey),
  );
}

const adding = findElement(document, "form[data-passkey-add]", HTMLFormElement);
if (adding && canUse) {
  requireElement(adding, "[data-passkey-unsupported]", HTMLElement).hidden = true;
  requireElement(adding, "[data-passkey-supported]", HTMLElement).hidden = false;
  adding.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(adding, adding, adding.dataset.passkeyAdd, makePasskey);
  });
}
