// Opens ZIP archives in the browser, so that each file inside is sent, shown, paused and retried
// like any other. The server refuses the same things for archives that reach it whole.
//
// Format: PKWARE APPNOTE 6.3 (end of central directory, central headers, ZIP64 extra field 0x0001).

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const MAX_RATIO = 200;
const LINK = 0o120000;
// Of the directory, which is read whole: room for thousands of long names, and no more than a page may hold.
const MAX_DIRECTORY = 16 * 2 ** 20;

/** An archive or a member that cannot be used; `code` names the sentence in the page's texts. */
export class UnzipError extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * List the members of an archive.
 * @param {Blob} archive
 * @param {{maxFiles: number, maxBytes: number, maxFileBytes: number}} limits
 * @returns {Promise<Array<{path: string, size: number, refusal: string, read: () => Promise<File>}>>}
 *   `refusal` is a code, empty for members that may be read; directories and clutter are left out.
 *   Rejects with UnzipError, or with the browser's DOMException where the archive cannot be read at all.
 */
export async function unzip(archive, limits) {
  try {
    return await list(archive, limits);
  } catch (error) {
    // A header that points beyond the bytes it lies in.
    throw error instanceof RangeError ? new UnzipError("archive-damaged") : error;
  }
}

async function list(archive, limits) {
  const { count, size, offset } = await findDirectory(archive);
  if (count > limits.maxFiles || size > MAX_DIRECTORY) throw new UnzipError("archive-files");
  const view = await slice(archive, offset, size);
  const members = [];
  let at = 0;
  let total = 0;
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== CENTRAL) throw new UnzipError("archive-damaged");
    const entry = readEntry(view, at);
    at = entry.next;
    if (isClutter(entry.path)) continue;
    const refusal = refuse(entry, limits);
    if (!refusal) total += entry.size; // what is refused is never unpacked
    if (total > limits.maxBytes) throw new UnzipError("archive-bytes");
    members.push({ path: entry.path, size: entry.size, refusal, read: () => readMember(archive, entry) });
  }
  return members;
}

async function findDirectory(archive) {
  const tail = Math.min(archive.size, 65557 + 20);
  const start = archive.size - tail;
  const view = await slice(archive, start, tail);
  for (let at = tail - 22; at >= 0; at -= 1) {
    if (view.getUint32(at, true) !== END) continue;
    const found = { count: view.getUint16(at + 10, true), size: view.getUint32(at + 12, true), offset: view.getUint32(at + 16, true) };
    const is64 = found.count === 0xffff || found.size === 0xffffffff || found.offset === 0xffffffff;
    return is64 ? findDirectory64(archive, view, at - 20) : found;
  }
  throw new UnzipError("archive-damaged");
}

async function findDirectory64(archive, tail, at) {
  if (at < 0 || tail.getUint32(at, true) !== LOCATOR_64) throw new UnzipError("archive-damaged");
  const view = await slice(archive, Number(tail.getBigUint64(at + 8, true)), 56);
  if (view.getUint32(0, true) !== END_64) throw new UnzipError("archive-damaged");
  return {
    count: Number(view.getBigUint64(32, true)),
    size: Number(view.getBigUint64(40, true)),
    offset: Number(view.getBigUint64(48, true)),
  };
}

function readEntry(view, at) {
  const flags = view.getUint16(at + 8, true);
  const nameLength = view.getUint16(at + 28, true);
  const extraLength = view.getUint16(at + 30, true);
  const commentLength = view.getUint16(at + 32, true);
  const entry = {
    flags,
    method: view.getUint16(at + 10, true),
    packed: view.getUint32(at + 20, true),
    size: view.getUint32(at + 24, true),
    mode: view.getUint32(at + 38, true) >>> 16,
    header: view.getUint32(at + 42, true),
    path: decodeName(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameLength), flags),
    next: at + 46 + nameLength + extraLength + commentLength,
  };
  if (entry.next > view.byteLength) throw new UnzipError("archive-damaged");
  readExtra64(view, at + 46 + nameLength, extraLength, entry);
  return entry;
}

function readExtra64(view, start, length, entry) {
  for (let at = start; at + 4 <= start + length; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    let field = at + 4;
    for (const name of ["size", "packed", "header"]) {
      if (entry[name] !== 0xffffffff) continue;
      entry[name] = Number(view.getBigUint64(field, true));
      field += 8;
    }
  }
}

function decodeName(bytes, flags) {
  const text = new TextDecoder(flags & 0x800 ? "utf-8" : "windows-1252").decode(bytes);
  return text.replaceAll("\\", "/");
}

function isClutter(path) {
  const lower = path.toLowerCase();
  const name = lower.slice(lower.lastIndexOf("/") + 1);
  return path.endsWith("/") || lower.startsWith("__macosx/") || [".ds_store", "thumbs.db", "desktop.ini", "dicomdir"].includes(name);
}

function refuse(entry, limits) {
  if (entry.flags & 0x1) return "member-encrypted";
  if (entry.path.startsWith("/") || /^[a-z]:/i.test(entry.path) || entry.path.split("/").includes("..")) return "member-path";
  if ((entry.mode & 0o170000) === LINK) return "member-link";
  if (entry.size > limits.maxFileBytes) return "too-large";
  if (entry.size > MAX_RATIO * Math.max(entry.packed, 1024)) return "member-ratio";
  if (/\.(zip|tar|gz|tgz|7z|rar)$/i.test(entry.path)) return "member-archive";
  if (entry.method !== 0 && entry.method !== 8) return "member-method";
  return "";
}

async function readMember(archive, entry) {
  const header = await slice(archive, entry.header, 30);
  if (header.getUint32(0, true) !== 0x04034b50) throw new UnzipError("member-damaged");
  const start = entry.header + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const packed = archive.slice(start, start + entry.packed);
  const blob = entry.method === 0 ? packed : await inflate(packed, entry.size);
  if (blob.size !== entry.size) throw new UnzipError("member-damaged");
  return new File([blob], entry.path.slice(entry.path.lastIndexOf("/") + 1));
}

// Reads no further than the announced size, so that a lying header cannot fill the memory.
async function inflate(packed, size) {
  const reader = packed.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const chunks = [];
  let total = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      total += value.byteLength;
      if (total > size) throw new UnzipError("member-damaged");
      chunks.push(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    if (error instanceof DOMException) throw error; // the archive itself cannot be read any more
    throw new UnzipError("member-damaged");
  }
  return new Blob(chunks);
}

async function slice(blob, start, length) {
  if (start < 0 || start + length > blob.size) throw new UnzipError("archive-damaged");
  return new DataView(await blob.slice(start, start + length).arrayBuffer());
}
