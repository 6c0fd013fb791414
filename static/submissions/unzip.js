// Opens ZIP archives in the browser, so that each file inside is sent, shown, paused and retried like any other.
// The portal refuses the same things in archives that reach it whole (xrayportal/intake/bulk/archives.py).
//
// Format: PKWARE APPNOTE 6.3 (end of central directory, central headers, ZIP64 extra field 0x0001).

const END_SIGNATURE = 0x06054b50;
const END_64_SIGNATURE = 0x06064b50;
const LOCATOR_64_SIGNATURE = 0x07064b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
/** Bytes unpacked for each packed byte; more is an archive made to fill the memory. */
const MAX_RATIO = 200;
/** Of a Unix file mode. */
const KIND_MASK = 0o170000;
const ORDINARY_FILE = 0o100000;
/** The flag that says that a name is UTF-8, and Info-ZIP's extra field with the name in UTF-8. */
const UTF_8_FLAG = 0x800;
const UNICODE_PATH = 0x7075;
/** The upper half of code page 437, in which Windows writes names. */
const CODE_PAGE =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
  "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});
/** Bytes of the directory, which is read whole: room for thousands of long names. */
const MAX_DIRECTORY_BYTES = 16 * 2 ** 20;
/** Folders and clutter are entries too. */
const ENTRIES_PER_FILE = 4;
/** Flags of encryption: ordinary, strong. And that of a member that holds only what changed in it. */
const ENCRYPTED_FLAGS = 0x41;
const PATCH_FLAG = 0x20;
const CLUTTER = [".ds_store", "thumbs.db", "desktop.ini", "dicomdir"];

/** @typedef {{maxFiles: number, maxBytes: number, maxFileBytes: number}} Limits sizes are of unpacked files */

/**
 * A file in an archive. `refusal` is why the portal will not take it, as a code; empty where it will.
 * @typedef {{path: string, size: number, refusal: string, read: () => Promise<File>}} Member
 */

/**
 * What the directory says of a member: sizes in bytes, `mode` of Unix, `header` the offset of its local header,
 * `next` that of the next entry in the directory.
 * `raw` is its name as it is written, `sum` its CRC-32.
 * @typedef {{flags: number, method: number, sum: number, packed: number, size: number, mode: number,
 *   header: number, raw: Uint8Array, path: string, next: number}} Entry
 */

/** An archive or a member that cannot be used; `code` names the portal's sentence. */
export class UnzipError extends Error {
  /** @param {string} code */
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * List the members of an archive, without folders and what operating systems leave in them.
 * @param {Blob} archive
 * @param {Limits} limits
 * @returns {Promise<Member[]>}
 * @throws {UnzipError}
 * @throws {DOMException} where the browser cannot read the archive at all
 */
export async function unzip(archive, limits) {
  try {
    return await list(archive, limits);
  } catch (error) {
    // A header points beyond the bytes that hold it.
    throw error instanceof RangeError ? new UnzipError("archive-damaged") : error;
  }
}

/** @param {Blob} archive @param {Limits} limits @returns {Promise<Member[]>} */
async function list(archive, limits) {
  const { count, size, offset, before } = await findDirectory(archive);
  const most = ENTRIES_PER_FILE * limits.maxFiles;
  if (count > most || size > MAX_DIRECTORY_BYTES) throw new UnzipError("archive-files");
  const view = await slice(archive, before + offset, size);
  /** @type {Member[]} */
  const members = [];
  let at = 0;
  let total = 0;
  // The directory ends where its bytes do: programs that know no ZIP64 count modulo 65,536.
  for (let index = 0; at < view.byteLength; index += 1) {
    if (index >= most) throw new UnzipError("archive-files");
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== CENTRAL_SIGNATURE) {
      throw new UnzipError("archive-damaged");
    }
    const entry = readEntry(view, at);
    entry.header += before;
    at = entry.next;
    if (isClutter(entry.path)) continue;
    const refusal = refuse(entry, limits);
    if (!refusal) total += entry.size; // a refused member is never unpacked
    if (total > limits.maxBytes) throw new UnzipError("archive-bytes");
    if (members.length >= limits.maxFiles) throw new UnzipError("archive-files");
    members.push({ path: entry.path, size: entry.size, refusal, read: () => readMember(archive, entry) });
  }
  return members;
}

/**
 * The central directory: number of entries, bytes, offset; and the bytes before the archive, such as a program.
 * @param {Blob} archive
 */
async function findDirectory(archive) {
  const tail = Math.min(archive.size, 65557 + 20);
  const start = archive.size - tail;
  const view = await slice(archive, start, tail);
  for (let at = tail - 22; at >= 0; at -= 1) {
    if (view.getUint32(at, true) !== END_SIGNATURE) continue;
    const count = view.getUint16(at + 10, true);
    const size = view.getUint32(at + 12, true);
    const offset = view.getUint32(at + 16, true);
    const is64 = count === 0xffff || size === 0xffffffff || offset === 0xffffffff;
    const before = start + at - size - offset;
    return is64 ? findDirectory64(archive, view, start, at - 20) : { count, size, offset, before };
  }
  throw new UnzipError("archive-damaged");
}

/**
 * @param {Blob} archive
 * @param {DataView} tail of the archive
 * @param {number} start of the tail
 * @param {number} at the locator's place in it
 */
async function findDirectory64(archive, tail, start, at) {
  if (at < 0 || tail.getUint32(at, true) !== LOCATOR_64_SIGNATURE) throw new UnzipError("archive-damaged");
  const view = await slice(archive, start + at - 56, 56); // right before its locator
  if (view.getUint32(0, true) !== END_64_SIGNATURE) throw new UnzipError("archive-damaged");
  const size = Number(view.getBigUint64(40, true));
  const offset = Number(view.getBigUint64(48, true));
  return {
    count: Number(view.getBigUint64(32, true)),
    size,
    offset,
    before: start + at - 56 - size - offset,
  };
}

/** @param {DataView} view of the directory @param {number} at @returns {Entry} */
function readEntry(view, at) {
  const flags = view.getUint16(at + 8, true);
  const nameLength = view.getUint16(at + 28, true);
  const extraLength = view.getUint16(at + 30, true);
  const commentLength = view.getUint16(at + 32, true);
  const raw = new Uint8Array(view.buffer, view.byteOffset + at + 46, nameLength);
  const extra = at + 46 + nameLength;
  const entry = {
    flags,
    method: view.getUint16(at + 10, true),
    sum: view.getUint32(at + 16, true),
    packed: view.getUint32(at + 20, true),
    size: view.getUint32(at + 24, true),
    mode: view.getUint32(at + 38, true) >>> 16,
    header: view.getUint32(at + 42, true),
    raw,
    path: "",
    next: at + 46 + nameLength + extraLength + commentLength,
  };
  if (entry.next > view.byteLength) throw new UnzipError("archive-damaged");
  checkExtra(view, extra, extraLength);
  readExtra64(view, extra, extraLength, entry);
  entry.path = decodeName(raw, flags, unicodePath(view, extra, extraLength, raw));
  return entry;
}

/**
 * Each extra field ends where they all do, at the latest.
 * @param {DataView} view
 * @param {number} start
 * @param {number} length
 */
function checkExtra(view, start, length) {
  for (let at = start; at + 4 <= start + length; at += 4 + view.getUint16(at + 2, true)) {
    if (at + 4 + view.getUint16(at + 2, true) > start + length) throw new UnzipError("archive-damaged");
  }
}

/**
 * Sizes and offset that need 64 bits stand in an extra field.
 * @param {DataView} view
 * @param {number} start
 * @param {number} length
 * @param {Entry} entry is filled in
 */
function readExtra64(view, start, length, entry) {
  for (let at = start; at + 4 <= start + length; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    let field = at + 4;
    for (const name of /** @type {const} */ (["size", "packed", "header"])) {
      if (entry[name] !== 0xffffffff) continue;
      entry[name] = Number(view.getBigUint64(field, true));
      field += 8;
    }
  }
}

/**
 * The name as its sender wrote it. Without the flag for UTF-8 it may be Info-ZIP's extra field, UTF-8 all the same
 * (macOS), or the old code page of DOS (Windows).
 * @param {Uint8Array} raw
 * @param {number} flags
 * @param {Uint8Array | null} unicode name of the extra field
 */
function decodeName(raw, flags, unicode) {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let name;
  try {
    name = utf8.decode(unicode ?? raw);
  } catch {
    if (flags & UTF_8_FLAG) throw new UnzipError("archive-damaged");
    name = Array.from(raw, (byte) => (byte < 128 ? String.fromCharCode(byte) : CODE_PAGE[byte - 128])).join(
      "",
    );
  }
  return name.split("\0", 1)[0].replaceAll("\\", "/");
}

/**
 * The UTF-8 name of Info-ZIP's extra field; null without one, or if the file was renamed since.
 * @param {DataView} view
 * @param {number} start
 * @param {number} length
 * @param {Uint8Array} raw
 */
function unicodePath(view, start, length, raw) {
  if (view.getUint16(start - raw.length - 38, true) & UTF_8_FLAG) return null;
  for (let at = start; at + 4 <= start + length; at += 4 + view.getUint16(at + 2, true)) {
    const size = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) !== UNICODE_PATH || size <= 5 || at + 4 + size > start + length) continue;
    const isOfName = view.getUint8(at + 4) === 1 && view.getUint32(at + 5, true) === crc32(raw);
    return isOfName ? new Uint8Array(view.buffer, view.byteOffset + at + 9, size - 5) : null;
  }
  return null;
}

/**
 * CRC-32 of bytes; `sum` is that of the bytes before them.
 * @param {Uint8Array} bytes
 */
function crc32(bytes, sum = 0) {
  let value = ~sum;
  for (let at = 0; at < bytes.length; at += 1) value = CRC_TABLE[(value ^ bytes[at]) & 0xff] ^ (value >>> 8);
  return ~value >>> 0;
}

/** Folders, and what operating systems leave in them. @param {string} path */
function isClutter(path) {
  const lower = path.toLowerCase();
  const name = lower.slice(lower.lastIndexOf("/") + 1);
  return path.endsWith("/") || lower.startsWith("__macosx/") || CLUTTER.includes(name);
}

/** A code why the member will not be taken, or empty. @param {Entry} entry @param {Limits} limits */
function refuse(entry, limits) {
  const isOutside = entry.path.startsWith("/") || entry.path[1] === ":";
  const kind = entry.mode & KIND_MASK;
  if (entry.size > limits.maxFileBytes) return "too-large";
  if (entry.flags & ENCRYPTED_FLAGS) return "member-encrypted";
  if (isOutside || entry.path.split("/").includes("..")) return "member-path";
  if (kind !== 0 && kind !== ORDINARY_FILE) return "member-link";
  if (entry.size > MAX_RATIO * Math.max(entry.packed, 1024)) return "member-ratio";
  if (/\.(zip|tar|gz|tgz|7z|rar)$/i.test(entry.path)) return "member-archive";
  if ((entry.method !== 0 && entry.method !== 8) || entry.flags & PATCH_FLAG) return "member-method";
  return "";
}

/** @param {Blob} archive @param {Entry} entry */
async function readMember(archive, entry) {
  const header = await memberSlice(archive, entry.header, 30);
  if (header.getUint32(0, true) !== LOCAL_SIGNATURE) throw new UnzipError("member-damaged");
  const nameLength = header.getUint16(26, true);
  const name = new Uint8Array((await memberSlice(archive, entry.header + 30, nameLength)).buffer);
  if (name.length !== entry.raw.length || name.some((byte, at) => byte !== entry.raw[at])) {
    throw new UnzipError("member-damaged");
  }
  const start = entry.header + 30 + nameLength + header.getUint16(28, true);
  const packed = archive.slice(start, start + entry.packed);
  const stream = packed.stream();
  const isStored = entry.method === 0;
  const plain = isStored ? stream : stream.pipeThrough(new DecompressionStream("deflate-raw"));
  const chunks = await readAll(plain, entry, isStored);
  return new File(isStored ? [packed] : chunks, entry.path.slice(entry.path.lastIndexOf("/") + 1));
}

/**
 * Read the member, and stop at the size that its entry gives, so that a false entry cannot fill the memory. Size and
 * checksum must be those of the entry.
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 * @param {Entry} entry
 * @param {boolean} isChecked only: the bytes themselves are not kept
 */
async function readAll(stream, entry, isChecked) {
  const reader = stream.getReader();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const chunks = [];
  let total = 0;
  let sum = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      total += value.byteLength;
      if (total > entry.size) throw new UnzipError("member-damaged");
      sum = crc32(value, sum);
      if (!isChecked) chunks.push(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    if (error instanceof DOMException) throw error; // the browser cannot read the archive any more
    throw new UnzipError("member-damaged");
  }
  if (total !== entry.size || sum !== entry.sum) throw new UnzipError("member-damaged");
  return chunks;
}

/** @param {Blob} archive @param {number} start @param {number} length bytes */
async function memberSlice(archive, start, length) {
  if (start < 0 || start + length > archive.size) throw new UnzipError("member-damaged");
  return slice(archive, start, length);
}

/** @param {Blob} blob @param {number} start @param {number} length bytes */
async function slice(blob, start, length) {
  if (start < 0 || start + length > blob.size) throw new UnzipError("archive-damaged");
  return new DataView(await blob.slice(start, start + length).arrayBuffer());
}
