/** How a person likes the heatmap, remembered on this device. Whether it is shown is not: it starts shown. */

const NAME = "viewer-heatmap";
const LIKED = { opacity: 0.6, threshold: 0, colours: "uniform", contour: false, peak: false };

/** @returns {typeof LIKED} */
export function recall() {
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(NAME));
  } catch {
    // Storage may be forbidden, or hold what another version wrote: start from the usual.
  }
  const same = Object.keys(LIKED).filter((key) => typeof kept?.[key] === typeof LIKED[key]);
  return { ...LIKED, ...Object.fromEntries(same.map((key) => [key, kept[key]])) };
}

/** @param {typeof LIKED} heat */
export function remember(heat) {
  const kept = Object.fromEntries(Object.keys(LIKED).map((key) => [key, heat[key]]));
  try {
    localStorage.setItem(NAME, JSON.stringify(kept));
  } catch {
    // Forbidden or full: the choice holds for this page only.
  }
}
