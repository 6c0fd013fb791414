/** The outline of the hottest region of a field: connected region around its maximum, marching squares. */

/**
 * @param {Float32Array} field row by row, samples at cell centres
 * @param {number} width
 * @param {number} height
 * @param {number} share of the maximum at which the outline runs, 0..1
 * @returns {Float32Array} line pieces `x1 y1 x2 y2 …`; sample (i, j) lies at (i + 0.5, j + 0.5).
 *   Empty where the field is nowhere positive.
 */
export function hottestOutline(field, width, height, share) {
  let peak = 0;
  for (let i = 1; i < field.length; i += 1) if (field[i] > field[peak]) peak = i;
  if (!(field[peak] > 0)) return new Float32Array(0);
  const level = field[peak] * share;
  const region = connected(field, width, height, peak, level);
  return march(region, width + 2, height + 2, level);
}

/**
 * The region at or above `level` that holds `start`, with a ring of zeros around it so that the outline closes at the
 * picture's edge; other regions are lowered to just below the level.
 * @param {Float32Array} field row by row
 * @param {number} width
 * @param {number} height
 * @param {number} start index into the field
 * @param {number} level
 * @returns {Float32Array} two samples wider and higher than the field
 */
function connected(field, width, height, start, level) {
  const inside = new Uint8Array(field.length);
  const pending = [start];
  inside[start] = 1;
  /** @param {number} i */
  const visit = (i) => {
    if (!inside[i] && field[i] >= level) {
      inside[i] = 1;
      pending.push(i);
    }
  };
  for (let i = pending.pop(); i !== undefined; i = pending.pop()) {
    const x = i % width;
    if (x > 0) visit(i - 1);
    if (x < width - 1) visit(i + 1);
    if (i >= width) visit(i - width);
    if (i < field.length - width) visit(i + width);
  }
  const below = level * (1 - 1e-6);
  const ringed = new Float32Array((width + 2) * (height + 2));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const i = y * width + x;
      ringed[(y + 1) * (width + 2) + x + 1] = inside[i] ? field[i] : Math.min(field[i], below);
    }
  }
  return ringed;
}

/**
 * Which edges of a cell the outline joins, by the corners at or above the level (1 2 4 8 clockwise).
 * @type {[from: number, to: number][][]}
 */
const JOINS = [
  [],
  [[3, 0]],
  [[0, 1]],
  [[3, 1]],
  [[1, 2]],
  [
    [3, 0],
    [1, 2],
  ],
  [[0, 2]],
  [[3, 2]],
  [[2, 3]],
  [[2, 0]],
  [
    [0, 1],
    [2, 3],
  ],
  [[2, 1]],
  [[1, 3]],
  [[1, 0]],
  [[0, 3]],
  [],
];

/** @param {Float32Array} field @param {number} width @param {number} height @param {number} level */
function march(field, width, height, level) {
  /** @type {number[]} */
  const pieces = [];
  for (let y = 0; y < height - 1; y += 1) {
    for (let x = 0; x < width - 1; x += 1) {
      const at = y * width + x;
      const corners = [field[at], field[at + 1], field[at + width + 1], field[at + width]];
      let kind = 0;
      for (let i = 0; i < 4; i += 1) if (corners[i] >= level) kind |= 1 << i;
      for (const [from, to] of JOINS[kind]) {
        pieces.push(...crossing(from, x, y, corners, level), ...crossing(to, x, y, corners, level));
      }
    }
  }
  return Float32Array.from(pieces);
}

/**
 * Where the level crosses an edge of a cell; the ring shifts by one sample.
 * @param {number} edge 0 top, 1 right, 2 bottom, 3 left
 * @param {number} x of the cell
 * @param {number} y
 * @param {number[]} corners clockwise from the upper left
 * @param {number} level
 */
function crossing(edge, x, y, corners, level) {
  const left = x - 0.5;
  const top = y - 0.5;
  /** @param {number} one @param {number} other */
  const share = (one, other) => (level - one) / (other - one);
  if (edge === 0) return [left + share(corners[0], corners[1]), top];
  if (edge === 1) return [left + 1, top + share(corners[1], corners[2])];
  if (edge === 2) return [left + share(corners[3], corners[2]), top + 1];
  return [left, top + share(corners[0], corners[3])];
}
