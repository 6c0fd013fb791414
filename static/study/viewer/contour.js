/** Outlines of the hot regions of a field: connected regions, marching squares. */

/**
 * The outlines of a field at `level`, but only of the regions that somewhere reach `least`.
 * @param {Float32Array} field row by row, samples at cell centres
 * @param {number} width
 * @param {number} height
 * @param {number} level above 0; the outlines run here
 * @param {number} least what a region must reach somewhere to be outlined
 * @returns {{inside: Uint8Array, loops: number[][]}} `inside` tells each sample whether a region holds it. A loop is
 *   closed: `x1 y1 x2 y2 …`; sample (i, j) lies at (i + 0.5, j + 0.5).
 */
export function hotRegions(field, width, height, level, least) {
  const inside = regions(field, width, level, least);
  return { inside, loops: march(ringed(field, inside, width, height, level), width + 2, height + 2, level) };
}

/**
 * A loop without the corners that linear sampling has between the cells of a coarse grid.
 * @param {number[]} loop closed, `x1 y1 x2 y2 …`
 * @param {number} most points on each side of one that it is averaged with; a short loop takes fewer
 * @returns {number[]}
 */
export function smooth(loop, most) {
  const points = loop.length / 2;
  const near = Math.min(most, Math.floor(points / 12));
  return loop.map((_, i) => {
    let sum = 0;
    for (let step = -near; step <= near; step += 1) sum += loop[(i + 2 * step + loop.length) % loop.length];
    return sum / (2 * near + 1);
  });
}

/**
 * Which samples belong to a region at or above `level` that somewhere reaches `least`.
 * @param {Float32Array} field row by row
 * @param {number} width
 * @param {number} level
 * @param {number} least
 */
function regions(field, width, level, least) {
  const inside = new Uint8Array(field.length);
  /** @type {number[]} */
  const pending = [];
  /** @param {number} i */
  const visit = (i) => {
    if (inside[i] || field[i] < level) return;
    inside[i] = 1;
    pending.push(i);
  };
  for (let start = 0; start < field.length; start += 1) {
    if (field[start] >= least) visit(start);
    for (let i = pending.pop(); i !== undefined; i = pending.pop()) {
      const x = i % width;
      if (x > 0) visit(i - 1);
      if (x < width - 1) visit(i + 1);
      if (i >= width) visit(i - width);
      if (i < field.length - width) visit(i + width);
    }
  }
  return inside;
}

/**
 * The field with a ring of zeros around it, so that outlines close at the picture's edge; what is in none of the regions
 * is lowered to just below the level.
 * @param {Float32Array} field row by row
 * @param {Uint8Array} inside
 * @param {number} width
 * @param {number} height
 * @param {number} level
 * @returns {Float32Array} two samples wider and higher than the field
 */
function ringed(field, inside, width, height, level) {
  const below = level * (1 - 1e-6);
  const wider = new Float32Array((width + 2) * (height + 2));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const i = y * width + x;
      wider[(y + 1) * (width + 2) + x + 1] = inside[i] ? field[i] : Math.min(field[i], below);
    }
  }
  return wider;
}

/**
 * Which edges of a cell the outline joins, by the corners at or above the level (1 2 4 8 clockwise). What is above
 * the level lies to the left of the way, so that the pieces of all cells follow one another.
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

/**
 * @param {Float32Array} field with its ring
 * @param {number} width
 * @param {number} height
 * @param {number} level
 */
function march(field, width, height, level) {
  /** From each crossed edge of the grid to the next one of its outline. @type {Map<number, number>} */
  const next = new Map();
  /** @type {Map<number, [x: number, y: number]>} */
  const points = new Map();
  for (let y = 0; y < height - 1; y += 1) {
    for (let x = 0; x < width - 1; x += 1) {
      const at = y * width + x;
      const corners = [field[at], field[at + 1], field[at + width + 1], field[at + width]];
      let kind = 0;
      for (let i = 0; i < 4; i += 1) if (corners[i] >= level) kind |= 1 << i;
      for (const [from, to] of JOINS[kind]) {
        const edge = edgeOf(from, at, width);
        next.set(edge, edgeOf(to, at, width));
        points.set(edge, crossing(from, x, y, corners, level));
      }
    }
  }
  return joined(next, points);
}

/**
 * Follow the outlines from edge to edge.
 * @param {Map<number, number>} next is emptied
 * @param {Map<number, [x: number, y: number]>} points
 */
function joined(next, points) {
  /** @type {number[][]} */
  const loops = [];
  for (const start of points.keys()) {
    /** @type {number[]} */
    const loop = [];
    let edge = start;
    for (let to = next.get(edge); to !== undefined; to = next.get(edge)) {
      loop.push(...(points.get(edge) ?? []));
      next.delete(edge);
      edge = to;
    }
    if (loop.length) loops.push(loop);
  }
  return loops;
}

/**
 * A number for an edge of the grid, the same from both of its cells: even for those across, odd for those down.
 * @param {number} edge 0 top, 1 right, 2 bottom, 3 left of a cell
 * @param {number} at index of the cell's upper left corner
 * @param {number} width of the grid
 */
function edgeOf(edge, at, width) {
  if (edge === 0) return 2 * at;
  if (edge === 1) return 2 * (at + 1) + 1;
  if (edge === 2) return 2 * (at + width);
  return 2 * at + 1;
}

/**
 * Where the level crosses an edge of a cell; the ring shifts by one sample.
 * @param {number} edge 0 top, 1 right, 2 bottom, 3 left
 * @param {number} x of the cell
 * @param {number} y
 * @param {number[]} corners clockwise from the upper left
 * @param {number} level
 * @returns {[x: number, y: number]}
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
