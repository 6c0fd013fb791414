/** Boxes that readers draw around what they saw, in whole pixels of the picture. */

/** @import { Point, Size, View } from "./view.js" */

import { strokeWithHalo } from "./lines.js";

/** Screen pixels; a smaller box was a tap. */
const SMALLEST = 4;

/** @typedef {[x: number, y: number, width: number, height: number]} Box displayed pixels */
/**
 * A box on an image, by the image's id; `reader` is empty for the reader at the screen.
 * @typedef {{image: string, box: Box, reader: string, own: boolean}} Region
 */
/** @typedef {{from: Point, to: Point}} Corners two opposite corners, in picture coordinates */

export class Regions {
  /** @param {Size} picture pixels */
  constructor(picture) {
    this.picture = picture;
    /** @type {Region[]} */
    this.shown = [];
    /** @type {Corners | null} of the box that is being drawn */
    this.drawn = null;
  }

  /**
   * Begin a box at a corner.
   * @param {Point} point
   * @returns {(point: Point) => void} moves the opposite corner
   */
  start(point) {
    this.drawn = { from: point, to: point };
    return (to) => {
      this.drawn = { from: point, to };
    };
  }

  /**
   * End drawing.
   * @param {number} scale screen pixels per picture pixel
   * @returns {Box | null} the box inside the picture, null for a tap
   */
  finish(scale) {
    const box = this.drawn && boxBetween(this.drawn, this.picture);
    this.drawn = null;
    return box && Math.min(box[2], box[3]) * scale >= SMALLEST ? box : null;
  }

  /** @param {CanvasRenderingContext2D} context in screen pixels @param {View} view */
  draw(context, view) {
    for (const { box, reader, own } of this.shown) {
      context.setLineDash(own ? [] : [6, 5]);
      const { left, top } = outline(context, view, box);
      context.setLineDash([]);
      if (reader) label(context, reader, left, top);
    }
    if (this.drawn) outline(context, view, boxBetween(this.drawn, this.picture));
  }
}

/**
 * In whole pixels, cut off at the picture's edges.
 * @param {Corners} corners
 * @param {Size} picture
 * @returns {Box}
 */
function boxBetween({ from, to }, { width, height }) {
  /** @param {number} value @param {number} size */
  const inside = (value, size) => Math.min(size, Math.max(0, Math.round(value)));
  const left = inside(Math.min(from.x, to.x), width);
  const top = inside(Math.min(from.y, to.y), height);
  return [
    left,
    top,
    inside(Math.max(from.x, to.x), width) - left,
    inside(Math.max(from.y, to.y), height) - top,
  ];
}

/**
 * Draw a box. A picture is only ever turned by quarters, so that it is a box on the screen too.
 * @param {CanvasRenderingContext2D} context in screen pixels
 * @param {View} view
 * @param {Box} box
 * @returns {{left: number, top: number}} its corner on the screen
 */
function outline(context, view, [x, y, width, height]) {
  const one = view.toScreen(x, y);
  const other = view.toScreen(x + width, y + height);
  const left = Math.min(one.x, other.x);
  const top = Math.min(one.y, other.y);
  const path = new Path2D();
  path.rect(left, top, Math.abs(other.x - one.x), Math.abs(other.y - one.y));
  strokeWithHalo(context, path, 1.5);
  return { left, top };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} left screen pixels
 * @param {number} top
 */
function label(context, text, left, top) {
  context.font = "600 12px Inter, system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = "rgb(0 0 0 / 75%)";
  context.fillRect(left, top - 20, context.measureText(text).width + 10, 18);
  context.fillStyle = "#fff";
  context.fillText(text, left + 5, top - 11);
}
