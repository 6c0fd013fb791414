/** The evidence map as a layer over the picture: ReLU, absolute scale, smooth upsampling, colours. */

/** @import { Size } from "./view.js" */

import { colours } from "./colours.js";
import { hottestOutline } from "./contour.js";

/** Longest side of the upsampled field. The network's grid is some 20 cells, so this is ample. */
const FIELD_SIDE = 512;
/** The outline runs at this share of the map's own maximum. */
const CONTOUR_SHARE = 0.5;

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

export class Heatmap {
  /** Colour map and threshold that the layer was drawn with. */
  #drawn = "";
  /** @type {Path2D | null} */
  #outline = null;

  /**
   * @param {EvidenceMap} map
   * @param {Size} picture displayed pixels
   */
  constructor(map, picture) {
    const shrink = FIELD_SIDE / Math.max(picture.width, picture.height);
    this.map = map;
    this.picture = picture;
    this.width = Math.max(1, Math.round(picture.width * shrink));
    this.height = Math.max(1, Math.round(picture.height * shrink));
    const shares = Float32Array.from(map.values, (value) => Math.min(1, Math.max(0, value / map.scale)));
    /** Positive evidence as a share of the full scale, 0..1. */
    this.evidence = upsample(map, shares, this.width, this.height);
    this.layer = document.createElement("canvas");
    this.layer.width = this.width;
    this.layer.height = this.height;
  }

  /**
   * The coloured layer, to be drawn over the whole picture.
   * @param {string} map a colour map's name
   * @param {number} threshold share of the full scale, 0..1
   * @returns {HTMLCanvasElement}
   */
  coloured(map, threshold) {
    const key = `${map} ${threshold}`;
    const context = this.layer.getContext("2d");
    if (key === this.#drawn || !context) return this.layer;
    const lut = colours(map);
    const pixels = context.createImageData(this.width, this.height);
    for (let i = 0; i < this.evidence.length; i += 1) {
      const value = this.evidence[i];
      const colour = Math.round(value * 255) * 3;
      pixels.data[i * 4] = lut[colour];
      pixels.data[i * 4 + 1] = lut[colour + 1];
      pixels.data[i * 4 + 2] = lut[colour + 2];
      pixels.data[i * 4 + 3] = Math.round(255 * visibility(value, threshold));
    }
    context.putImageData(pixels, 0, 0);
    this.#drawn = key;
    return this.layer;
  }

  /** The outline of the hottest region, in picture coordinates. @returns {Path2D} */
  outline() {
    if (this.#outline) return this.#outline;
    // Evidence beyond the full scale still has a maximum: the outline follows the map, not its colours.
    const field = upsample(this.map, Float32Array.from(this.map.values), this.width, this.height);
    const pieces = hottestOutline(field, this.width, this.height, CONTOUR_SHARE);
    const across = this.picture.width / this.width;
    const down = this.picture.height / this.height;
    const path = new Path2D();
    for (let i = 0; i < pieces.length; i += 4) {
      path.moveTo(pieces[i] * across, pieces[i + 1] * down);
      path.lineTo(pieces[i + 2] * across, pieces[i + 3] * down);
    }
    this.#outline = path;
    return path;
  }
}
