/**
 * Colour maps for evidence from 0 (none) to 1 (the bundle's full scale): 256 colours each.
 *
 * `uniform` and `safe` run through control points in CIELAB and are then spaced at equal distances
 * (CIE 1976), so that equal steps of evidence look equally large. `uniform` is the ramp of
 * inference_worker/colours.py, so the viewer and the stored pictures agree; a test compares them.
 * `safe` runs from blue to yellow, the axis that the common kinds of colour blindness see. `jet` is the
 * rainbow, for readers who are used to it.
 */

/** @typedef {[number, number, number]} Triple */

/** Lightness 0..100, chroma, hue in degrees. @type {Record<string, Triple[]>} */
const CONTROL_POINTS = {
  uniform: [
    [22, 42, 305],
    [40, 62, 350],
    [57, 72, 392],
    [75, 68, 430],
    [94, 45, 462],
  ],
  safe: [
    [26, 56, 300],
    [42, 44, 272],
    [58, 34, 215],
    [74, 50, 145],
    [92, 84, 103],
  ],
};
/** CIE XYZ of D65, and XYZ to linear sRGB. */
const WHITE = [0.95047, 1, 1.08883];
const FROM_XYZ = [
  [3.2404542, -1.5371385, -0.4985314],
  [-0.969266, 1.8760108, 0.041556],
  [0.0556434, -0.2040259, 1.0572252],
];

const SIZE = 256;
/** Steps along a path in CIELAB while its length is measured. */
const STEPS = 4096;
/** @type {Map<string, Uint8Array>} */
const cache = new Map();

export const COLOUR_MAPS = ["uniform", "safe", "jet"];

/**
 * The 256 colours of a map, red green blue after one another (0..255).
 * @param {string} name one of COLOUR_MAPS; another name gives `uniform`
 * @returns {Uint8Array}
 */
export function colours(name) {
  const known = COLOUR_MAPS.includes(name) ? name : COLOUR_MAPS[0];
  let lut = cache.get(known);
  if (!lut) {
    lut = known === "jet" ? jet() : evenlySpaced(CONTROL_POINTS[known]);
    cache.set(known, lut);
  }
  return lut;
}

function jet() {
  const lut = new Uint8Array(SIZE * 3);
  for (let i = 0; i < SIZE; i += 1) {
    const value = i / (SIZE - 1);
    for (const [channel, centre] of [0.75, 0.5, 0.25].entries()) {
      const level = 1.5 - 4 * Math.abs(value - centre);
      lut[i * 3 + channel] = Math.round(255 * Math.min(1, Math.max(0, level)));
    }
  }
  return lut;
}

/** @param {Triple[]} points */
function evenlySpaced(points) {
  const path = Array.from({ length: STEPS }, (_, i) => toLab(interpolate(points, i / (STEPS - 1))));
  const travelled = [0];
  for (let i = 1; i < STEPS; i += 1) {
    const difference = path[i].map((value, axis) => value - path[i - 1][axis]);
    travelled.push(travelled[i - 1] + Math.hypot(...difference));
  }
  const lut = new Uint8Array(SIZE * 3);
  let step = 0;
  for (let i = 0; i < SIZE; i += 1) {
    const distance = (travelled[STEPS - 1] * i) / (SIZE - 1);
    while (step < STEPS - 1 && travelled[step] < distance) step += 1;
    lut.set(toRgb(path[step]), i * 3);
  }
  return lut;
}

/**
 * On the straight lines between control points.
 * @param {Triple[]} points
 * @param {number} share of the way, 0 to 1
 * @returns {Triple}
 */
function interpolate(points, share) {
  const place = share * (points.length - 1);
  const left = Math.min(points.length - 2, Math.floor(place));
  /** @param {0 | 1 | 2} axis */
  const between = (axis) =>
    points[left][axis] + (points[left + 1][axis] - points[left][axis]) * (place - left);
  return [between(0), between(1), between(2)];
}

/** @param {Triple} point lightness, chroma, hue @returns {Triple} lightness, a, b */
function toLab([lightness, chroma, hue]) {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

/** CIELAB to sRGB, 0..255; colours that a screen cannot show are clipped. @param {Triple} point */
function toRgb([lightness, a, b]) {
  const middle = (lightness + 16) / 116;
  const xyz = [middle + a / 500, middle, middle - b / 200].map(
    (f, axis) => (f > 6 / 29 ? f ** 3 : 3 * (6 / 29) ** 2 * (f - 4 / 29)) * WHITE[axis],
  );
  return FROM_XYZ.map((row) => {
    const sum = row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2];
    const linear = Math.min(1, Math.max(0, sum));
    return Math.round(255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055));
  });
}
