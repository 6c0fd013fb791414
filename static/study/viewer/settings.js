// How a person likes the heatmap, remembered on this device. Whether it is shown is not remembered: it starts shown.

import { recall, remember } from "../../shared/storage.js";

/**
 * `opacity` and `threshold` 0 to 1; `colours` a name of COLOUR_MAPS; `outline` whether regions are outlined in place of
 * the full heatmap; `ticks` whether marks around its region point at the peak.
 * @typedef {{opacity: number, threshold: number, colours: string, outline: boolean, ticks: boolean}} HeatmapSettings
 */

const KEY = "viewer-heatmap";
/** @type {HeatmapSettings} */
const DEFAULTS = { opacity: 0.6, threshold: 0, colours: "uniform", outline: true, ticks: true };
const NAMES = /** @type {(keyof HeatmapSettings)[]} */ (Object.keys(DEFAULTS));

/** @returns {HeatmapSettings} the defaults in place of what is missing or was written by another version */
export function loadSettings() {
  const stored = parse(recall(KEY) ?? "");
  const valid = NAMES.filter((name) => typeof stored[name] === typeof DEFAULTS[name]);
  return { ...DEFAULTS, ...Object.fromEntries(valid.map((name) => [name, stored[name]])) };
}

/** @param {HeatmapSettings} settings may have more members, which are left out */
export function saveSettings(settings) {
  remember(KEY, JSON.stringify(Object.fromEntries(NAMES.map((name) => [name, settings[name]]))));
}

/** @param {string} text @returns {Record<string, unknown>} empty where the text holds no object */
function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
