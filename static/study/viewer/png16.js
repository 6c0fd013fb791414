/**
 * Decodes a grey PNG of 16 bits (ISO/IEC 15948), which the browser itself would cut to 8.
 *
 * The browser inflates; the lines' filters are undone here, a few milliseconds at a time, so that nothing stops.
 */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Milliseconds of work before the page has its turn. */
const TURN = 6;

/** @typedef {{width: number, height: number, values: Uint16Array}} Picture16 row by row */

/**
 * @param {Uint8Array<ArrayBuffer>} bytes the whole file
 * @returns {Promise<Picture16>}
 * @throws {Error} for another kind of PNG, or one that is damaged
 */
export async function decodePng16(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33 || SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("No PNG");
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  // Bits, colour type, compression, filters, interlace.
  if (view.getUint32(24) !== 0x10000000 || bytes[28] !== 0) throw new Error("No grey PNG of 16 bits");
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  for (let at = 33; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const isData = view.getUint32(at + 4) === 0x49444154; // IDAT
    if (isData) parts.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  const inflated = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  return { width, height, values: await unfiltered(inflated.getReader(), width, height) };
}

/**
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader of the filtered lines
 * @param {number} width
 * @param {number} height
 */
async function unfiltered(reader, width, height) {
  const values = new Uint16Array(width * height);
  const size = 2 * width;
  let line = new Uint8Array(size);
  let above = new Uint8Array(size);
  let filter = -1;
  let filled = 0;
  let y = 0;
  let started = performance.now();
  while (y < height) {
    const { done, value: chunk } = await reader.read();
    if (done) throw new Error("The PNG ends early");
    for (let at = 0; at < chunk.length && y < height; ) {
      if (filter < 0) {
        filter = chunk[at];
        at += 1;
      }
      const count = Math.min(size - filled, chunk.length - at);
      line.set(chunk.subarray(at, at + count), filled);
      at += count;
      filled += count;
      if (filled < size) continue;
      undo(filter, line, above);
      const start = y * width;
      for (let x = 0, i = 0; x < width; x += 1, i += 2) values[start + x] = (line[i] << 8) | line[i + 1];
      [line, above] = [above, line];
      [filter, filled, y] = [-1, 0, y + 1];
      if (performance.now() - started > TURN) {
        await new Promise((resolve) => setTimeout(resolve));
        started = performance.now();
      }
    }
  }
  return values;
}

/**
 * Undo a line's filter in place; two bytes are a pixel.
 * @param {number} filter
 * @param {Uint8Array} line
 * @param {Uint8Array} above the line before, zeros at first
 */
function undo(filter, line, above) {
  const size = line.length;
  if (filter === 1) {
    for (let i = 2; i < size; i += 1) line[i] += line[i - 2];
  } else if (filter === 2) {
    for (let i = 0; i < size; i += 1) line[i] += above[i];
  } else if (filter === 3) {
    for (let i = 0; i < size; i += 1) line[i] += ((i < 2 ? 0 : line[i - 2]) + above[i]) >> 1;
  } else if (filter === 4) {
    for (let i = 0; i < 2; i += 1) line[i] += above[i];
    for (let i = 2; i < size; i += 1) line[i] += paeth(line[i - 2], above[i], above[i - 2]);
  } else if (filter !== 0) {
    throw new Error(`The PNG has a filter ${filter}`);
  }
}

/** @param {number} left @param {number} up @param {number} corner */
function paeth(left, up, corner) {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
