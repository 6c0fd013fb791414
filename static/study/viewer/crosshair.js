/** The cross that the keyboard measures and draws with. */

/** @import { Grip } from "./ruler.js" */
/** @import { Point, View } from "./view.js" */

/**
 * What is set on a picture from point to point: lengths, angles, regions.
 * `start` sets a point and gives what moves the next one; `continues` tells whether one more point follows.
 * @typedef {object} Marking
 * @property {(point: Point) => (point: Point) => void} start
 * @property {(screen: Point, view: View, kind: Grip) => (point: Point) => void} [grab] a point that is there
 * @property {boolean} [continues]
 */

export class Crosshair {
  /** @type {((point: Point) => void) | null} moves the point that was set last along with the cross */
  #moveEnd = null;

  /** @param {View} view */
  constructor(view) {
    this.view = view;
    /** @type {Point | null} in picture coordinates */
    this.at = null;
  }

  /** @param {number} dx screen pixels @param {number} dy */
  move(dx, dy) {
    const { view } = this;
    const { x, y } = this.at ?? view.middle();
    const now = view.toScreen(x, y);
    this.at = view.toPicture(
      Math.min(view.stage.width, Math.max(0, now.x + dx)),
      Math.min(view.stage.height, Math.max(0, now.y + dy)),
    );
    this.#moveEnd?.(this.at);
  }

  /**
   * Set a point where the cross is: the first one starts, each other one ends what was started.
   * @param {Marking} marking
   * @returns {boolean} whether something ended
   */
  press(marking) {
    const ends = this.#moveEnd !== null;
    this.at ??= this.view.middle();
    this.#moveEnd = !ends || marking.continues ? marking.start(this.at) : null;
    return ends;
  }

  /** Let go of what was started. */
  release() {
    this.#moveEnd = null;
  }

  drop() {
    this.at = null;
    this.#moveEnd = null;
  }
}
