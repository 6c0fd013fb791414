/** Lengths measured on the picture, in millimetres where the file gives spacing, else in pixels. */

/** @import { Point, Size, View } from "./view.js" */

import { strokeWithHalo } from "./lines.js";

/** How near to a line's end a pointer must be to move it, screen pixels. */
export const GRIP = { mouse: 9, pen: 14, touch: 24 };

/**
 * @typedef {{from: Point, to: Point}} Line in picture coordinates
 * @typedef {{row: number, column: number} | null} Spacing millimetres per pixel
 * @typedef {keyof typeof GRIP} Grip the kind of a pointer
 */

/** @param {string | undefined} text `row column` @returns {Spacing} */
export function readSpacing(text) {
  const [row, column] = (text ?? "").split(" ").map(Number);
  return row > 0 && column > 0 ? { row, column } : null;
}

export class Ruler {
  /** @param {Spacing} spacing @param {string} language of the numbers, such as `en` */
  constructor(spacing, language) {
    this.spacing = spacing;
    this.millimetres = new Intl.NumberFormat(language, {
      minimumFractionDigits: 1,
      maximumFractionDigits: 1,
    });
    this.pixels = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
    /** @type {Line[]} the newest is the last */
    this.lines = [];
  }

  /** Such as `34.2 mm` or `231 px`. @param {Line} line */
  length({ from, to }) {
    const dx = to.x - from.x;
    const dy = to.y - from.y;
    if (!this.spacing) return `${this.pixels.format(Math.hypot(dx, dy))} px`;
    return `${this.millimetres.format(Math.hypot(dx * this.spacing.column, dy * this.spacing.row))} mm`;
  }

  /**
   * Take hold of a line's end near a screen point, or start a new line there.
   * @param {Point} screen
   * @param {View} view
   * @param {Grip} kind
   * @returns {(point: Point) => void} moves that end
   */
  grab(screen, view, kind) {
    for (const line of [...this.lines].reverse()) {
      for (const end of /** @type {const} */ (["to", "from"])) {
        const at = view.toScreen(line[end].x, line[end].y);
        if (Math.hypot(at.x - screen.x, at.y - screen.y) <= GRIP[kind]) {
          return (point) => Object.assign(line, { [end]: point });
        }
      }
    }
    return this.start(view.toPicture(screen.x, screen.y));
  }

  /** Begin a line. @param {Point} from @returns {(point: Point) => void} moves the other end */
  start(from) {
    const line = { from, to: from };
    this.lines.push(line);
    return (point) => Object.assign(line, { to: point });
  }

  /** Remove lines without length: taps leave them. */
  dropEmpty() {
    this.lines = this.lines.filter(({ from, to }) => from.x !== to.x || from.y !== to.y);
  }

  clear() {
    this.lines = [];
  }

  /** @param {CanvasRenderingContext2D} context in screen pixels @param {View} view */
  draw(context, view) {
    for (const line of this.lines) {
      const from = view.toScreen(line.from.x, line.from.y);
      const to = view.toScreen(line.to.x, line.to.y);
      const tick = across(from, to, 6);
      const path = new Path2D();
      path.moveTo(from.x, from.y);
      path.lineTo(to.x, to.y);
      for (const end of [from, to]) {
        path.moveTo(end.x - tick.x, end.y - tick.y);
        path.lineTo(end.x + tick.x, end.y + tick.y);
      }
      strokeWithHalo(context, path, 1.5);
      labelBeside(context, this.length(line), from, to, view.stage);
    }
  }
}

/**
 * A vector of the given length, square to the line.
 * @param {Point} from
 * @param {Point} to
 * @param {number} length
 * @returns {Point}
 */
function across(from, to, length) {
  const total = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  return { x: (-(to.y - from.y) / total) * length, y: ((to.x - from.x) / total) * length };
}

/**
 * Write the length beside the line's middle, on its right or else upper side.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {Point} from screen pixels
 * @param {Point} to
 * @param {Size} stage
 */
function labelBeside(context, text, from, to, stage) {
  const normal = across(from, to, 1);
  const away = 8 + (Math.abs(normal.x) * labelWidth(context, text) + Math.abs(normal.y) * 22) / 2;
  const side = normal.x > 0 || (normal.x === 0 && normal.y < 0) ? away : -away;
  const middle = { x: (from.x + to.x) / 2 + normal.x * side, y: (from.y + to.y) / 2 + normal.y * side };
  label(context, text, middle, stage);
}

/** @param {CanvasRenderingContext2D} context @param {string} text */
function labelWidth(context, text) {
  context.font = "600 13px Inter, system-ui, sans-serif";
  return context.measureText(text).width + 12;
}

/**
 * Write a measurement around a point, inside the stage.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {Point} middle screen pixels
 * @param {Size} stage
 */
export function label(context, text, middle, stage) {
  context.save();
  context.textBaseline = "middle";
  const width = labelWidth(context, text);
  const left = Math.min(stage.width - width - 4, Math.max(4, middle.x - width / 2));
  const y = Math.min(stage.height - 15, Math.max(15, middle.y));
  context.fillStyle = "rgb(0 0 0 / 75%)";
  context.beginPath();
  context.roundRect(left, y - 11, width, 22, 4);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, left + 6, y + 0.5);
  context.restore();
}
