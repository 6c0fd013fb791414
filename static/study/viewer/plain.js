/** The display picture without a graphics card: drawn by 2D canvas, windowed on the pixels of the screen. */

/** @import { Range } from "./greys.js" */
/** @import { Matrix, Size } from "./view.js" */

export class PlainSurface {
  /** @param {ImageBitmap} bitmap @param {Size} size */
  constructor(bitmap, size) {
    this.canvas = document.createElement("canvas");
    this.context = context2d(this.canvas, { willReadFrequently: true });
    this.size = size;
    this.steps = pyramid(bitmap);
    this.lut = { key: "", greys: new Uint32Array(256) };
  }

  /** @param {Matrix} matrix picture pixels to canvas pixels @param {Range} range of 0 to 255 */
  draw(matrix, range) {
    const { context, canvas } = this;
    const { a, b, c, d, e, f } = matrix;
    const step = Math.floor(Math.max(0, -Math.log2(Math.hypot(a, b))));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(a, b, c, d, e, f);
    context.imageSmoothingQuality = "high";
    context.drawImage(
      this.steps[Math.min(step, this.steps.length - 1)],
      0,
      0,
      this.size.width,
      this.size.height,
    );
    const isWhole = range.low === 0 && range.width === 255;
    if (!isWhole || range.inverted) this.#window(range);
  }

  dispose() {
    for (const step of this.steps) {
      if (step instanceof ImageBitmap) step.close();
      else step.width = 0; // frees its pixels
    }
  }

  /** @param {Range} range */
  #window(range) {
    const pixels = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const words = new Uint32Array(pixels.data.buffer);
    const lut = this.#lookup(range);
    // The high byte (every platform with a browser is little-endian) is alpha: kept, so that the surroundings
    // stay empty.
    for (let i = 0; i < words.length; i += 1) {
      if (words[i]) words[i] = (words[i] & 0xff000000) | lut[words[i] & 0xff];
    }
    this.context.putImageData(pixels, 0, 0);
  }

  /** @param {Range} range @returns {Uint32Array} grey levels as red, green and blue */
  #lookup({ low, width, inverted }) {
    const key = `${low} ${width} ${inverted}`;
    if (key !== this.lut.key) {
      for (let i = 0; i < 256; i += 1) {
        const share = Math.min(1, Math.max(0, (i - low) / width));
        const grey = Math.round(255 * (inverted ? 1 - share : share));
        this.lut.greys[i] = (grey << 16) | (grey << 8) | grey;
      }
      this.lut.key = key;
    }
    return this.lut.greys;
  }
}

/**
 * A new 2D context.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function context2d(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("The browser draws no pictures");
  return context;
}

/** @typedef {ImageBitmap | HTMLCanvasElement} Step */
/** @type {WeakMap<ImageBitmap, Step[]>} */
const pyramids = new WeakMap();

/**
 * The picture and its half, quarter, …, so that drawing it small never touches every pixel. Made once.
 * @param {ImageBitmap} bitmap
 */
export function pyramid(bitmap) {
  const made = pyramids.get(bitmap);
  if (made) return made;
  /** @type {Step[]} */
  const steps = [bitmap];
  /** @type {Step} */
  let larger = bitmap;
  while (Math.max(larger.width, larger.height) > 1024) {
    const smaller = document.createElement("canvas");
    smaller.width = Math.max(1, Math.round(larger.width / 2));
    smaller.height = Math.max(1, Math.round(larger.height / 2));
    const context = context2d(smaller);
    context.imageSmoothingQuality = "high";
    context.drawImage(larger, 0, 0, smaller.width, smaller.height);
    steps.push(smaller);
    larger = smaller;
  }
  pyramids.set(bitmap, steps);
  return steps;
}
