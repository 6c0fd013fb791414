/** Angles measured on the picture: two arms that meet in a corner. */

/** @import { Grip, Spacing } from "./ruler.js" */
/** @import { Point, View } from "./view.js" */

import { strokeWithHalo } from "./lines.js";
import { GRIP, label } from "./ruler.js";

/** Screen pixels from the corner to the arc. */
const ARC = 26;

/**
 * The first arm is drawn from its end to the corner; until the second is drawn, `to` is null.
 * @typedef {{from: Point, corner: Point, to: Point | null}} Angle in picture coordinates
 */

export class Angles {
  /** @param {Spacing} spacing of the picture's pixels @param {string} language of the numbers, such as `en` */
  constructor(spacing, language) {
    const { row, column } = spacing ?? { row: 1, column: 1 };
    /** Height of a pixel by its width. */
    this.tall = row / column;
    this.degrees = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    /** @type {Angle[]} the newest is the last */
    this.angles = [];
  }

  /** Whether the newest angle lacks its second arm. */
  get continues() {
    return this.angles.at(-1)?.to === null;
  }

  /** Such as `34.2°`; empty while the second arm is missing or has no length. @param {Angle | undefined} angle */
  size(angle) {
    if (!angle?.to || isAt(angle.to, angle.corner)) return "";
    const [one, other] = [angle.from, angle.to].map(({ x, y }) =>
      Math.atan2((y - angle.corner.y) * this.tall, x - angle.corner.x),
    );
    const turn = Math.abs(one - other) * (180 / Math.PI);
    return `${this.degrees.format(Math.min(turn, 360 - turn))}°`;
  }

  /**
   * Take hold of a point near a screen point, or set the next one there.
   * @param {Point} screen
   * @param {View} view
   * @param {Grip} kind
   * @returns {(point: Point) => void} moves that point
   */
  grab(screen, view, kind) {
    const near = GRIP[kind];
    for (const angle of [...this.angles].reverse()) {
      // The second arm of a new angle may start anywhere, also near the corner.
      if (angle.to === null) continue;
      for (const part of /** @type {const} */ (["to", "from", "corner"])) {
        const point = angle[part];
        const at = point && view.toScreen(point.x, point.y);
        if (at && Math.hypot(at.x - screen.x, at.y - screen.y) <= near) {
          return (moved) => Object.assign(angle, { [part]: moved });
        }
      }
    }
    return this.start(view.toPicture(screen.x, screen.y));
  }

  /** Begin the first arm, or the second. @param {Point} point @returns {(point: Point) => void} moves its end */
  start(point) {
    const last = this.angles.at(-1);
    if (last && last.to === null) {
      last.to = point;
      return (moved) => Object.assign(last, { to: moved });
    }
    /** @type {Angle} */
    const angle = { from: point, corner: point, to: null };
    this.angles.push(angle);
    return (moved) => Object.assign(angle, { corner: moved });
  }

  /** Remove angles without a first arm: taps leave them. */
  dropEmpty() {
    this.angles = this.angles.filter(({ from, corner }) => !isAt(from, corner));
  }

  /** Remove the angle that lacks its second arm. */
  dropUnfinished() {
    this.angles = this.angles.filter(({ to, corner }) => to && !isAt(to, corner));
  }

  clear() {
    this.angles = [];
  }

  /** @param {CanvasRenderingContext2D} context in screen pixels @param {View} view */
  draw(context, view) {
    for (const angle of this.angles) {
      const from = view.toScreen(angle.from.x, angle.from.y);
      const corner = view.toScreen(angle.corner.x, angle.corner.y);
      const to = angle.to && view.toScreen(angle.to.x, angle.to.y);
      const path = new Path2D();
      path.moveTo(from.x, from.y);
      path.lineTo(corner.x, corner.y);
      if (to && this.size(angle)) {
        path.lineTo(to.x, to.y);
        const [start, end] = shorterWay(directionTo(corner, from), directionTo(corner, to));
        path.moveTo(corner.x + ARC * Math.cos(start), corner.y + ARC * Math.sin(start));
        path.arc(corner.x, corner.y, ARC, start, end);
        strokeWithHalo(context, path, 1.5);
        const middle = (start + end) / 2;
        const far = { x: corner.x + 60 * Math.cos(middle), y: corner.y + 60 * Math.sin(middle) };
        label(context, this.size(angle), far, view.stage);
      } else {
        strokeWithHalo(context, path, 1.5);
      }
    }
  }
}

/** @param {Point} one @param {Point} other */
function isAt(one, other) {
  return one.x === other.x && one.y === other.y;
}

/** @param {Point} corner @param {Point} end @returns {number} radians */
function directionTo(corner, end) {
  return Math.atan2(end.y - corner.y, end.x - corner.x);
}

/**
 * Two directions in the order, and at most half a turn apart, in which an arc runs between them.
 * @param {number} one radians
 * @param {number} other
 * @returns {[number, number]}
 */
function shorterWay(one, other) {
  const [low, high] = one < other ? [one, other] : [other, one];
  return high - low <= Math.PI ? [low, high] : [high, low + 2 * Math.PI];
}
