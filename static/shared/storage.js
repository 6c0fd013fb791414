// What a person chose, remembered on this device. Where the browser refuses storage, a choice lasts for its page.

/**
 * @param {string} key
 * @returns {string | null} null where nothing is remembered
 */
export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string} value an empty one is forgotten
 */
export function remember(key, value) {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // Refused or full.
  }
}
