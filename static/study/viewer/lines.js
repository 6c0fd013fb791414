/** White lines with a dark rim, to be seen on bone and on air; no hue beside a radiograph. */

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

/**
 * A ring with four marks that point at (x, y), open in the middle so that it hides nothing.
 * @param {number} x
 * @param {number} y
 */
export function peakMark(x, y) {
  const path = new Path2D();
  path.arc(x, y, 10, 0, 2 * Math.PI);
  for (const [dx, dy] of DIRECTIONS) {
    path.moveTo(x + dx * 6, y + dy * 6);
    path.lineTo(x + dx * 15, y + dy * 15);
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
