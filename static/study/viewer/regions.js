/** Boxes that readers draw around what they saw, in whole pixels of the picture. */

import { haloed } from "./lines.js";

/** A box smaller than this on the screen was a tap. */
const SMALLEST = 4;

/**
 * @typedef {{box: [number, number, number, number], reader: string, own: boolean}} Region
 *   `box` is x, y, width, height in displayed pixels; `reader` is empty for the reader at the screen
 */

export class Regions {
  /** @param {{width: number, height: number}} picture */
  constructor(picture) {
    this.picture = picture;
    /** @type {Region[]} */
    this.shown = [];
    /** Two corners of the box that is being drawn. @type {{from: Point, to: Point} | null} */
    this.drawn = null;
  }

  /** Begin a box at a corner. @returns {(point: Point) => void} moves the opposite corner */
  start(point) {
    this.drawn = { from: point, to: point };
    return (to) => { this.drawn = { from: point, to }; };
  }

  /** End drawing. @returns {Region["box"] | null} the box inside the picture, null for a tap */
  finish(scale) {
    const box = this.drawn && whole(this.drawn, this.picture);
    this.drawn = null;
    return box && Math.min(box[2], box[3]) * scale >= SMALLEST ? box : null;
  }

  /** @param {CanvasRenderingContext2D} context in screen pixels */
  draw(context, view) {
    for (const { box, reader, own } of this.shown) {
      context.setLineDash(own ? [] : [6, 5]);
      const { left, top } = trace(context, view, box);
      context.setLineDash([]);
      if (reader) name(context, reader, left, top);
    }
    if (this.drawn) trace(context, view, whole(this.drawn, this.picture));
  }
}

function whole({ from, to }, { width, height }) {
  const inside = (value, size) => Math.min(size, Math.max(0, Math.round(value)));
  const left = inside(Math.min(from.x, to.x), width);
  const top = inside(Math.min(from.y, to.y), height);
  return [left, top, inside(Math.max(from.x, to.x), width) - left, inside(Math.max(from.y, to.y), height) - top];
}

/** Outline a box; a picture is only ever turned by quarters, so it stays a box on the screen. */
function trace(context, view, [x, y, width, height]) {
  const one = view.toScreen(x, y);
  const other = view.toScreen(x + width, y + height);
  const left = Math.min(one.x, other.x);
  const top = Math.min(one.y, other.y);
  const path = new Path2D();
  path.rect(left, top, Math.abs(other.x - one.x), Math.abs(other.y - one.y));
  haloed(context, path, 1.5);
  return { left, top };
}

function name(context, text, left, top) {
  context.font = "600 12px Inter, system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = "rgb(0 0 0 / 75%)";
  context.fillRect(left, top - 20, context.measureText(text).width + 10, 18);
  context.fillStyle = "#fff";
  context.fillText(text, left + 5, top - 11);
}
