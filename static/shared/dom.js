// Elements of the page, with the type that their markup gives them.

/**
 * The first element that matches, or null; also null where it is of another type.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type such as HTMLInputElement
 * @returns {T | null}
 */
export function findElement(root, selector, type) {
  const element = root.querySelector(selector);
  return element instanceof type ? element : null;
}

/**
 * The first element that matches.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type such as HTMLInputElement
 * @returns {T}
 * @throws {Error} where the markup has none: template and script do not fit together
 */
export function requireElement(root, selector, type) {
  const element = findElement(root, selector, type);
  if (!element) throw new Error(`The page has no ${type.name} ${selector}`);
  return element;
}

/**
 * All elements of a type that match.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type such as HTMLInputElement
 * @returns {T[]}
 */
export function findElements(root, selector, type) {
  /** @param {Element} element @returns {element is T} */
  const isOfType = (element) => element instanceof type;
  return [...root.querySelectorAll(selector)].filter(isOfType);
}

/**
 * The nearest ancestor that matches, or the target itself; null for what is no element.
 * @param {EventTarget | null} target of an event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function closestElement(target, selector) {
  const element = target instanceof Element ? target.closest(selector) : null;
  return element instanceof HTMLElement ? element : null;
}
