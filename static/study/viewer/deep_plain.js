/**
 * The picture at its stored depth without a graphics card.
 *
 * Of a pyramid of the codes, the part that is on the screen goes through a look-up table on to a canvas, and that is
 * drawn like any picture: a change of the window costs one look-up per pixel of the screen, a movement nothing.
 */

/** @import { Deep } from "./deep.js" */
/** @import { Range } from "./greys.js" */
/** @import { Picture16 } from "./png16.js" */
/** @import { Matrix, Size } from "./view.js" */

import { lookup } from "./greys.js";
import { context2d } from "./plain.js";

/** Steps of the pyramid end below this many pixels a side. */
const SMALLEST = 512;
/** While the picture moves, this share of the screen beyond each of its edges is windowed, too. */
const MARGIN = 0.25;

/** @typedef {{left: number, top: number, right: number, bottom: number}} Part of a step, in its pixels */

export class DeepPlainSurface {
  /** @type {Part & {step: number}} what the tile holds */
  #held = { step: -1, left: 0, top: 0, right: 0, bottom: 0 };
  #key = "";
  /** Grey levels as opaque pixels. */
  #lut = new Uint32Array(0);
  /** Kept from frame to frame. */
  #pixels = new ImageData(1, 1);

  /** @param {Deep} deep @param {Size} size of the picture, in its own coordinates */
  constructor(deep, size) {
    this.canvas = document.createElement("canvas");
    this.context = context2d(this.canvas);
    this.tile = document.createElement("canvas");
    this.deep = deep;
    this.size = size;
    /** @type {Picture16[]} the picture and its half, quarter, …, made when they are needed */
    this.steps = [deep];
  }

  /** @param {Matrix} matrix picture pixels to canvas pixels @param {Range} range in codes */
  draw(matrix, range) {
    const { context, canvas, size } = this;
    const { a, b, c, d, e, f } = matrix;
    const step = this.#step(Math.floor(Math.max(0, -Math.log2(Math.hypot(a, b)))));
    const { width, height } = this.steps[step];
    this.#window(
      step,
      visible(matrix, canvas, width / size.width, height / size.height, width, height),
      range,
    );
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const { left, top, right, bottom } = this.#held;
    if (right <= left || bottom <= top) return;
    context.setTransform(a, b, c, d, e, f);
    context.scale(size.width / width, size.height / height);
    // Magnified, the higher qualities take half as long again and show the same.
    context.imageSmoothingQuality = Math.hypot(a, b) > 1 ? "low" : "high";
    context.drawImage(this.tile, 0, 0, right - left, bottom - top, left, top, right - left, bottom - top);
  }

  dispose() {
    this.canvas.width = 0; // frees its pixels
    this.tile.width = 0;
    this.steps = [];
  }

  /** The step of the pyramid, or the last there is. @param {number} wanted */
  #step(wanted) {
    while (this.steps.length <= wanted) {
      const larger = this.steps[this.steps.length - 1];
      if (Math.max(larger.width, larger.height) <= SMALLEST) break;
      this.steps.push(half(larger));
    }
    return Math.min(wanted, this.steps.length - 1);
  }

  /** Have the tile hold a part of a step, windowed. @param {number} step @param {Part} part @param {Range} range */
  #window(step, part, range) {
    const key = `${range.low} ${range.width} ${range.inverted}`;
    const isNew = key !== this.#key;
    if (!isNew && this.#held.step === step && contains(this.#held, part)) return;
    const { width, height, values } = this.steps[step];
    if (isNew) {
      const levels = lookup(this.deep.scale, range);
      // The high byte (every platform with a browser is little-endian) is alpha.
      this.#lut = Uint32Array.from(levels, (level) => 0xff000000 | (level << 16) | (level << 8) | level);
      this.#key = key;
    }
    const held = { step, ...(isNew ? part : widened(part, width, height)) };
    const columns = held.right - held.left;
    const rows = held.bottom - held.top;
    this.#held = held;
    if (columns <= 0 || rows <= 0) return;
    if (this.tile.width < columns || this.tile.height < rows) {
      this.tile.width = Math.max(this.tile.width, columns);
      this.tile.height = Math.max(this.tile.height, rows);
    }
    if (this.#pixels.width !== columns || this.#pixels.height !== rows)
      this.#pixels = new ImageData(columns, rows);
    const pixels = this.#pixels;
    const words = new Uint32Array(pixels.data.buffer);
    const lut = this.#lut;
    for (let y = 0, to = 0; y < rows; y += 1) {
      let from = (held.top + y) * width + held.left;
      for (const end = to + columns; to < end; to += 1, from += 1) words[to] = lut[values[from]];
    }
    context2d(this.tile).putImageData(pixels, 0, 0);
  }
}

/**
 * The part of a step that is on the canvas.
 * @param {Matrix} matrix picture pixels to canvas pixels
 * @param {Size} canvas
 * @param {number} across step pixels per picture pixel
 * @param {number} down
 * @param {number} width of the step
 * @param {number} height
 * @returns {Part}
 */
function visible({ a, b, c, d, e, f }, canvas, across, down, width, height) {
  const area = a * d - b * c;
  const corners = [
    [0, 0],
    [canvas.width, 0],
    [0, canvas.height],
    [canvas.width, canvas.height],
  ].map(([x, y]) => [
    ((d * (x - e) - c * (y - f)) / area) * across,
    ((a * (y - f) - b * (x - e)) / area) * down,
  ]);
  const xs = corners.map(([x]) => x);
  const ys = corners.map(([, y]) => y);
  return {
    left: Math.max(0, Math.floor(Math.min(...xs)) - 1),
    top: Math.max(0, Math.floor(Math.min(...ys)) - 1),
    right: Math.min(width, Math.ceil(Math.max(...xs)) + 1),
    bottom: Math.min(height, Math.ceil(Math.max(...ys)) + 1),
  };
}

/** @param {Part} outer @param {Part} inner */
function contains(outer, inner) {
  return (
    outer.left <= inner.left &&
    outer.top <= inner.top &&
    outer.right >= inner.right &&
    outer.bottom >= inner.bottom
  );
}

/** @param {Part} part @param {number} width @param {number} height @returns {Part} */
function widened({ left, top, right, bottom }, width, height) {
  const across = Math.ceil((right - left) * MARGIN);
  const down = Math.ceil((bottom - top) * MARGIN);
  return {
    left: Math.max(0, left - across),
    top: Math.max(0, top - down),
    right: Math.min(width, right + across),
    bottom: Math.min(height, bottom + down),
  };
}

/**
 * Half the size, each code the mean of four; a last odd row or column goes into its neighbour.
 * @param {Picture16} larger
 * @returns {Picture16}
 */
export function half({ width, height, values }) {
  const columns = Math.max(1, width >> 1);
  const rows = Math.max(1, height >> 1);
  const right = width > 1 ? 1 : 0;
  const below = height > 1 ? width : 0;
  const means = new Uint16Array(columns * rows);
  for (let y = 0, to = 0; y < rows; y += 1) {
    let at = 2 * y * width;
    for (let x = 0; x < columns; x += 1, to += 1, at += 2) {
      means[to] =
        (values[at] + values[at + right] + values[at + below] + values[at + below + right] + 2) >> 2;
    }
  }
  return { width: columns, height: rows, values: means };
}
