/**
 * Colour maps for evidence from 0 (none) to 1 (the bundle's full scale): 256 colours each.
 *
 * `uniform` and `safe` run through our own control points in OKLCH and are then spaced at equal
 * distances in OKLab, so that equal steps of evidence look equally large. `safe` varies along the
 * blue to yellow axis only, which all common kinds of colour blindness keep. `jet` is the classic
 * rainbow, for readers who are used to it.
 */

/** Lightness 0..1, chroma, hue in degrees. */
const CONTROL_POINTS = {
  uniform: [
    [0.3, 0.13, 290],
    [0.42, 0.19, 330],
    [0.54, 0.21, 375],
    [0.66, 0.19, 402],
    [0.79, 0.16, 432],
    [0.93, 0.14, 463],
  ],
  safe: [
    [0.3, 0.14, 262],
    [0.45, 0.1, 262],
    [0.58, 0.02, 262],
    [0.6, 0.02, 98],
    [0.75, 0.11, 98],
    [0.92, 0.17, 100],
  ],
};

const SIZE = 256;
const FINE = 2048;
/** @type {Map<string, Uint8Array>} */
const made = new Map();

export const COLOUR_MAPS = ["uniform", "safe", "jet"];

/**
 * The 256 colours of a map, red green blue after one another (0..255).
 * @param {string} name one of COLOUR_MAPS; another name gives `uniform`
 * @returns {Uint8Array}
 */
export function colours(name) {
  const known = COLOUR_MAPS.includes(name) ? name : COLOUR_MAPS[0];
  let table = made.get(known);
  if (!table) {
    table = known === "jet" ? jet() : evenlySpaced(CONTROL_POINTS[known]);
    made.set(known, table);
  }
  return table;
}

function jet() {
  const table = new Uint8Array(SIZE * 3);
  for (let i = 0; i < SIZE; i += 1) {
    const value = i / (SIZE - 1);
    [0.75, 0.5, 0.25].forEach((centre, channel) => {
      const level = 1.5 - 4 * Math.abs(value - centre);
      table[i * 3 + channel] = Math.round(255 * Math.min(1, Math.max(0, level)));
    });
  }
  return table;
}

function evenlySpaced(points) {
  const path = Array.from({ length: FINE }, (_, i) => intoGamut(along(points, i / (FINE - 1))));
  const distance = [0];
  for (let i = 1; i < FINE; i += 1) {
    const step = Math.hypot(...path[i].map((value, axis) => value - path[i - 1][axis]));
    distance.push(distance[i - 1] + step);
  }
  const table = new Uint8Array(SIZE * 3);
  let at = 0;
  for (let i = 0; i < SIZE; i += 1) {
    const wanted = (distance[FINE - 1] * i) / (SIZE - 1);
    while (at < FINE - 1 && distance[at] < wanted) at += 1;
    linearRgb(path[at]).forEach((value, channel) => {
      table[i * 3 + channel] = Math.round(255 * gamma(value));
    });
  }
  return table;
}

/** Straight lines between control points. */
function along(points, share) {
  const place = share * (points.length - 1);
  const left = Math.min(points.length - 2, Math.floor(place));
  return points[left].map((value, axis) => value + (points[left + 1][axis] - value) * (place - left));
}

/** OKLCH to OKLab with the largest chroma, up to the one asked for, that a screen can show. */
function intoGamut([lightness, chroma, hue]) {
  const angle = (hue * Math.PI) / 180;
  const lab = (c) => [lightness, c * Math.cos(angle), c * Math.sin(angle)];
  const shown = (c) => linearRgb(lab(c)).every((value) => value >= -1e-4 && value <= 1 + 1e-4);
  if (shown(chroma)) return lab(chroma);
  let low = 0;
  let high = chroma;
  for (let i = 0; i < 20; i += 1) {
    const middle = (low + high) / 2;
    if (shown(middle)) low = middle;
    else high = middle;
  }
  return lab(low);
}

/** OKLab (Ottosson 2020) to linear sRGB. */
function linearRgb([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

/** Linear light to sRGB, 0..1. */
function gamma(linear) {
  const value = Math.min(1, Math.max(0, linear));
  return value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
}
