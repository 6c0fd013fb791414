// Sentences come from the page, already translated; here figures are put into them.

/**
 * Replace `{name}` and the like; a name without a value stays as it is.
 * @param {string} sentence
 * @param {Record<string, string | number>} values
 */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (placeholder, name) => String(values[name] ?? placeholder));
}

/** Such as `512 kB` or `3.4 MB`. @param {number} bytes */
export function formatBytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
