/** The evidence map over the picture: ReLU, absolute scale, smooth upsampling; as outlines, or as a layer of colours. */

/** @import { Point, Size } from "./view.js" */

import { colours } from "./colours.js";
import { hotRegions, smooth } from "./contour.js";

/** Longest side of the upsampled field of the coloured layer. The network's grid is some 20 cells, so this is ample. */
const FIELD_SIDE = 512;
/** The same for the outlines, which run between the samples. */
const OUTLINE_SIDE = 256;
// The rule of what is outlined is also that of what goes back to a PACS: xrayportal/dicom/results/regions.py has the same
// three numbers, and a test compares what both draw.
/** Outlines run at this share of the map's own maximum. */
const OUTLINE_SHARE = 0.5;
/** A region is outlined that somewhere reaches this share of the maximum. */
const REGION_SHARE = 0.75;

/**
 * The signed map as the server stores it, in logit units, covering the picture edge to edge.
 * @typedef {{width: number, height: number, scale: number, values: number[]}} EvidenceMap
 */

/**
 * @param {string} url
 * @returns {Promise<EvidenceMap>}
 * @throws {Error} when the answer is not a map
 */
export async function fetchMap(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`The map answered ${response.status}`);
  const map = await response.json();
  const isComplete = map.values?.length === map.width * map.height && map.values.length > 0;
  if (!isComplete || !(map.scale > 0) || !map.values.every(Number.isFinite)) {
    throw new Error("The map is not complete");
  }
  return map;
}

/**
 * Cells sampled linearly on a finer grid. Cells and samples are matched by their centres (half-pixel
 * centres, as the stored overlay is made); beyond the outermost centres the edge continues.
 * @param {Size} map cells of the grid
 * @param {Float32Array} cells row by row
 * @param {number} width of the result, samples
 * @param {number} height
 * @returns {Float32Array} `width * height` values, row by row
 */
export function upsample(map, cells, width, height) {
  const columns = neighbours(map.width, width);
  const rows = neighbours(map.height, height);
  const field = new Float32Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const upper = rows.first[y] * map.width;
    const lower = rows.second[y] * map.width;
    const down = rows.share[y];
    for (let x = 0; x < width; x += 1) {
      const left = columns.first[x];
      const right = columns.second[x];
      const across = columns.share[x];
      const above = cells[upper + left] * (1 - across) + cells[upper + right] * across;
      const below = cells[lower + left] * (1 - across) + cells[lower + right] * across;
      field[y * width + x] = above * (1 - down) + below * down;
    }
  }
  return field;
}

/**
 * For every sample the two cells whose centres it lies between, and the share of the way from one to the other.
 * @param {number} cells
 * @param {number} samples
 */
function neighbours(cells, samples) {
  const first = new Uint16Array(samples);
  const second = new Uint16Array(samples);
  const share = new Float32Array(samples);
  for (let i = 0; i < samples; i += 1) {
    const place = Math.min(cells - 1, Math.max(0, ((i + 0.5) * cells) / samples - 0.5));
    first[i] = Math.floor(place);
    second[i] = Math.min(cells - 1, first[i] + 1);
    share[i] = place - first[i];
  }
  return { first, second, share };
}

/**
 * How opaque evidence is, 0 to 1, before the layer's own opacity: as opaque as it is strong, so that a picture
 * without evidence keeps its greys; nothing below the threshold.
 * @param {number} value 0 to 1
 * @param {number} threshold 0 to 1
 */
export function visibility(value, threshold) {
  return value < threshold ? 0 : value;
}

/**
 * What is outlined: a path in picture coordinates, and on a grid over the picture which samples it holds.
 * @typedef {{path: Path2D, inside: Uint8Array, width: number, height: number}} Outline
 */

export class Heatmap {
  /** Colour map and threshold that the layer was drawn with. */
  #drawn = "";
  /** @type {HTMLCanvasElement | null} */
  #layer = null;
  /** @type {Float32Array | null} */
  #evidence = null;
  /** @type {{threshold: number, outline: Outline | null} | null} */
  #outlined = null;

  /**
   * @param {EvidenceMap} map
   * @param {Size} picture displayed pixels
   */
  constructor(map, picture) {
    this.map = map;
    this.picture = picture;
    const { width, height } = within(picture, FIELD_SIDE);
    /** Samples of the coloured layer. */
    this.width = width;
    this.height = height;
    /** The strongest evidence as a share of the full scale, 0..1. */
    this.strength = Math.min(1, Math.max(0, ...map.values) / map.scale);
  }

  /** Positive evidence as a share of the full scale, 0..1. */
  get evidence() {
    const { map } = this;
    const shares = () =>
      Float32Array.from(map.values, (value) => Math.min(1, Math.max(0, value / map.scale)));
    this.#evidence ??= upsample(map, shares(), this.width, this.height);
    return this.#evidence;
  }

  /**
   * The coloured layer, to be drawn over the whole picture.
   * @param {string} map a colour map's name
   * @param {number} threshold share of the full scale, 0..1
   * @returns {HTMLCanvasElement}
   */
  coloured(map, threshold) {
    this.#layer ??= Object.assign(document.createElement("canvas"), {
      width: this.width,
      height: this.height,
    });
    const key = `${map} ${threshold}`;
    const context = this.#layer.getContext("2d");
    if (key === this.#drawn || !context) return this.#layer;
    const { evidence } = this;
    const lut = colours(map);
    const pixels = context.createImageData(this.width, this.height);
    for (let i = 0; i < evidence.length; i += 1) {
      const value = evidence[i];
      const colour = Math.round(value * 255) * 3;
      pixels.data[i * 4] = lut[colour];
      pixels.data[i * 4 + 1] = lut[colour + 1];
      pixels.data[i * 4 + 2] = lut[colour + 2];
      pixels.data[i * 4 + 3] = Math.round(255 * visibility(value, threshold));
    }
    context.putImageData(pixels, 0, 0);
    this.#drawn = key;
    return this.#layer;
  }

  /** A colour map's colour of the strongest evidence, as CSS writes it. @param {string} map its name */
  colour(map) {
    const at = Math.round(this.strength * 255) * 3;
    return `rgb(${colours(map)
      .subarray(at, at + 3)
      .join(" ")})`;
  }

  /**
   * The outline of the hot regions, which leaves out what the threshold hides.
   * @param {number} threshold share of the full scale, 0..1
   * @returns {Outline | null} null where there is none
   */
  outline(threshold) {
    if (this.#outlined?.threshold !== threshold) {
      this.#outlined = { threshold, outline: this.#makeOutline(threshold) };
    }
    return this.#outlined.outline;
  }

  /** @param {number} threshold @returns {Outline | null} */
  #makeOutline(threshold) {
    const { map, picture } = this;
    const { width, height } = within(picture, OUTLINE_SIDE);
    // Evidence beyond the full scale still has a maximum: the outline follows the map, not its colours.
    const positive = Float32Array.from(map.values, (value) => Math.max(0, value));
    const field = upsample(map, positive, width, height);
    const most = field.reduce((one, other) => Math.max(one, other), 0);
    const level = Math.max(most * OUTLINE_SHARE, threshold * map.scale);
    if (!(most > 0) || most < level) return null;
    const { inside, loops } = hotRegions(field, width, height, level, Math.max(most * REGION_SHARE, level));
    const across = picture.width / width;
    const down = picture.height / height;
    const path = new Path2D();
    const cell = Math.max(width / map.width, height / map.height);
    for (const corners of loops) {
      const loop = smooth(corners, Math.round(cell / 3));
      path.moveTo(loop[0] * across, loop[1] * down);
      for (let i = 2; i < loop.length; i += 2) path.lineTo(loop[i] * across, loop[i + 1] * down);
      path.closePath();
    }
    return { path, inside, width, height };
  }

  /**
   * How far what is outlined extends from a point to the right, down, to the left and up.
   * @param {Outline} outline
   * @param {Point} point in picture coordinates, as the answer
   * @returns {number[]} 0 where nothing of it lies on that side
   */
  reach({ inside, width, height }, { x, y }) {
    const across = this.picture.width / width;
    const down = this.picture.height / height;
    const column = Math.min(width - 1, Math.floor(x / across));
    const row = Math.min(height - 1, Math.floor(y / down));
    const columns = span(width, (at) => inside[row * width + at]);
    const rows = span(height, (at) => inside[at * width + column]);
    return [
      Math.max(0, columns.end * across - x),
      Math.max(0, rows.end * down - y),
      Math.max(0, x - columns.start * across),
      Math.max(0, y - rows.start * down),
    ];
  }
}

/**
 * Where a row of samples begins and ends to be set; nowhere gives nothing on either side of any place.
 * @param {number} length
 * @param {(at: number) => number} isSet
 */
function span(length, isSet) {
  let [start, end] = [length, 0];
  for (let at = 0; at < length; at += 1) {
    if (!isSet(at)) continue;
    start = Math.min(start, at);
    end = at + 1;
  }
  return { start, end };
}

/** Whole samples, at most `side` of them on the longer side. @param {Size} picture @param {number} side */
function within(picture, side) {
  const shrink = side / Math.max(picture.width, picture.height);
  return {
    width: Math.max(1, Math.round(picture.width * shrink)),
    height: Math.max(1, Math.round(picture.height * shrink)),
  };
}
