// Copies the text of a field; where the browser keeps the clipboard to secure pages, marks it to be copied by hand.

import { closestElement, requireElement } from "../shared/dom.js";

document.addEventListener("click", async ({ target }) => {
  const button = closestElement(target, "[data-copy]");
  if (!button?.parentElement) return;
  const field = requireElement(button.parentElement, "[data-copy-from]", HTMLInputElement);
  field.select();
  if (!navigator.clipboard) return;
  await navigator.clipboard.writeText(field.value);
  requireElement(button, "span", HTMLElement).textContent = button.dataset.copied ?? "";
});
