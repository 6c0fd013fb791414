/**
 * Pictures and heatmaps, also those of studies that come next: they are fetched, decoded and drawn into layers while
 * the person still looks at another one, so that opening them is only painting.
 */

/** @import { Size } from "./view.js" */

import { fetchMap, Heatmap } from "./heatmap.js";
import { fetchPicture } from "./picture.js";
import { loadSettings } from "./settings.js";

/** @typedef {{display: string, map?: string, width: number, height: number}} Coming as the page names it */

/** By address. @type {Map<string, Promise<ImageBitmap>>} */
const pictures = new Map();
/** By address. @type {Map<string, Promise<Heatmap>>} */
const heatmaps = new Map();

/**
 * The picture of an address; it becomes the caller's own.
 * @param {string} url
 */
export function takePicture(url) {
  const picture = pictures.get(url) ?? fetchPicture(url);
  pictures.delete(url);
  return picture;
}

/**
 * The heatmap of an address.
 * @param {string} url
 * @param {Size} size of its picture
 */
export function takeHeatmap(url, size) {
  return heatmaps.get(url) ?? fetchHeatmap(url, size);
}

/** Keep these at hand and no others. @param {Coming[]} coming */
export function prepare(coming) {
  forgetOthers(
    pictures,
    coming.map(({ display }) => display),
    (picture) => picture.close(),
  );
  forgetOthers(
    heatmaps,
    coming.map(({ map }) => map ?? ""),
    () => {},
  );
  for (const { display, map, ...size } of coming) {
    if (!pictures.has(display)) keep(pictures, display, fetchPicture(display));
    if (map && !heatmaps.has(map)) keep(heatmaps, map, fetchHeatmap(map, size));
  }
}

/** @param {string} url @param {Size} size */
async function fetchHeatmap(url, size) {
  const heatmap = new Heatmap(await fetchMap(url), size);
  const { outline, threshold, colours } = loadSettings();
  heatmap.outline(threshold);
  if (!outline) heatmap.coloured(colours, threshold);
  return heatmap;
}

/**
 * What fails is asked for again when it is needed, and the viewer then says so.
 * @template T
 * @param {Map<string, Promise<T>>} kept
 * @param {string} url
 * @param {Promise<T>} fetched
 */
function keep(kept, url, fetched) {
  kept.set(url, fetched);
  fetched.catch(() => kept.delete(url));
}

/**
 * @template T
 * @param {Map<string, Promise<T>>} kept
 * @param {string[]} urls that stay
 * @param {(value: T) => void} free
 */
function forgetOthers(kept, urls, free) {
  for (const [url, value] of kept) {
    if (urls.includes(url)) continue;
    kept.delete(url);
    value.then(free, () => {});
  }
}
