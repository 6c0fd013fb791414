/**
 * Pictures and heatmaps, also those of studies that come next: they are fetched, decoded and drawn into layers while
 * the person still looks at another one, so that opening them is only painting.
 */

/** @import { Size } from "./view.js" */

import { fetchMap, Heatmap } from "./heatmap.js";
import { fetchPicture, prepareSurface } from "./picture.js";
import { loadSettings } from "./settings.js";

/** @typedef {{display: string, map?: string, width: number, height: number}} Coming as the page names it */

/** Milliseconds until what failed is fetched again, if it is still to come. */
const AGAIN_AFTER = [500, 2000, 8000];

/** Addresses of what is to come. @type {Set<string>} */
let wanted = new Set();
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
  wanted.delete(url);
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
  wanted = new Set(coming.flatMap(({ display, map }) => (map ? [display, map] : [display])));
  forgetOthers(pictures, (picture) => picture.close());
  forgetOthers(heatmaps, () => {});
  for (const { display, map, ...size } of coming) {
    if (!pictures.has(display)) keep(pictures, display, () => fetchReady(display));
    if (map && !heatmaps.has(map)) keep(heatmaps, map, () => fetchHeatmap(map, size));
  }
}

/** @param {string} url */
async function fetchReady(url) {
  const picture = await fetchPicture(url);
  prepareSurface(picture);
  return picture;
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
 * What fails is fetched again after a while; if it is needed before, the viewer fetches it and says what is wrong.
 * @template T
 * @param {Map<string, Promise<T>>} kept
 * @param {string} url
 * @param {() => Promise<T>} fetchIt
 * @param {number} [failures] so far
 */
function keep(kept, url, fetchIt, failures = 0) {
  const fetched = fetchIt();
  kept.set(url, fetched);
  fetched.catch(() => {
    if (kept.get(url) === fetched) kept.delete(url);
    if (failures === AGAIN_AFTER.length) return;
    setTimeout(() => {
      if (wanted.has(url) && !kept.has(url)) keep(kept, url, fetchIt, failures + 1);
    }, AGAIN_AFTER[failures]);
  });
}

/**
 * @template T
 * @param {Map<string, Promise<T>>} kept
 * @param {(value: T) => void} free what is not to come
 */
function forgetOthers(kept, free) {
  for (const [url, value] of kept) {
    if (wanted.has(url)) continue;
    kept.delete(url);
    value.then(free, () => {});
  }
}
