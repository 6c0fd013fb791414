/** White lines with a dark rim, to be seen on bone and on air; no hue beside a radiograph. */

/** @import { Point, View } from "./view.js" */

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Path2D} path
 * @param {number} width of the white line, in the context's units
 */
export function strokeWithHalo(context, path, width) {
  context.lineCap = "round";
  context.lineJoin = "round";
  context.strokeStyle = "rgb(0 0 0 / 75%)";
  context.lineWidth = width * 2.4;
  context.stroke(path);
  context.strokeStyle = "#fff";
  context.lineWidth = width;
  context.stroke(path);
}

/** Right, down, left, up. @type {[number, number][]} */
const DIRECTIONS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];

/** CSS pixels between a region and the marks that point into it. */
const GAP = 5;

/**
 * Four marks that point at a peak from outside of the region around it, in screen pixels.
 * @param {View} view
 * @param {Point} peak in picture coordinates
 * @param {number[]} reach how far the region extends to the right, down, to the left and up, in picture pixels
 * @param {number} length of a mark
 */
export function ticks(view, peak, reach, length) {
  const path = new Path2D();
  const { a, b, c, d } = view.matrix;
  for (const [i, [dx, dy]] of DIRECTIONS.entries()) {
    const end = view.toScreen(peak.x + dx * reach[i], peak.y + dy * reach[i]);
    const [across, down] = [(a * dx + c * dy) / view.scale, (b * dx + d * dy) / view.scale];
    path.moveTo(end.x + across * GAP, end.y + down * GAP);
    path.lineTo(end.x + across * (GAP + length), end.y + down * (GAP + length));
  }
  return path;
}

/**
 * The cross that the arrow keys move while a person measures or draws.
 * @param {number} x
 * @param {number} y
 */
export function cross(x, y) {
  const path = new Path2D();
  for (const [dx, dy] of DIRECTIONS) {
    path.moveTo(x + dx * 3, y + dy * 3);
    path.lineTo(x + dx * 14, y + dy * 14);
  }
  return path;
}
