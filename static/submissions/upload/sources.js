// What was chosen or dropped: files with their path in its folder, and archives as the files inside them.

/** @import { Limits } from "../unzip.js" */

const SIZES_AT_ONCE = 100;
const CLUTTER = new Set(["thumbs.db", "desktop.ini", "dicomdir"]);

/**
 * One file to send; `size` in bytes. `read` takes it out of its archive; `refusal` is why the portal will not take
 * it, as a code that the portal knows; `unreadable` where the browser cannot read it.
 * @typedef {{file: File | null, path: string, size: number, read?: (() => Promise<File>) | null, refusal?: string,
 *   unreadable?: boolean}} Source
 */

/**
 * A file with its path in the folder that it was chosen or dropped with; `withSizes` makes a Source of it.
 * @typedef {Omit<Source, "size"> & {size?: number}} Chosen
 */

/**
 * @param {File} file
 * @param {string} [path] with its folder
 * @returns {Chosen}
 */
export const withPath = (file, path = file.webkitRelativePath || file.name) => ({ file, path });

/**
 * Whether a file holds the labels of others: patient references, body parts and priorities.
 * @param {string} path
 */
export const isLabels = (path) => path.toLowerCase().endsWith(".csv");

/** @param {string} path */
const isArchive = (path) => path.toLowerCase().endsWith(".zip");

/** @param {string} path @returns {Source} */
const unreadable = (path) => ({ file: null, path, size: 0, unreadable: true });

/**
 * Every file of what was dropped, with those in folders. Call it before any await: the transfer is empty once its
 * event is over.
 * @param {DataTransfer} transfer
 * @returns {Promise<Chosen[]>}
 */
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some(Boolean)) return [...transfer.files].map((file) => withPath(file));
  /** @type {Chosen[]} */
  const chosen = [];
  for (const entry of entries) if (entry) await collectFiles(entry, chosen);
  return chosen;
}

/**
 * Add the files of an entry. One that cannot be read is kept by its name; the rest of the folder is still read.
 * @param {FileSystemEntry} entry
 * @param {Chosen[]} chosen grows
 */
async function collectFiles(entry, chosen) {
  const path = entry.fullPath.replace(/^\//, "");
  try {
    if (entry.isFile) {
      const fileEntry = /** @type {FileSystemFileEntry} */ (entry);
      /** @type {File} */
      const file = await new Promise((resolve, reject) => fileEntry.file(resolve, reject));
      chosen.push(withPath(file, path));
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      /** @type {FileSystemEntry[]} 100 at most */
      const children = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!children.length) return;
      for (const child of children) await collectFiles(child, chosen);
    }
  } catch {
    chosen.push(unreadable(path));
  }
}

/**
 * Leave out what operating systems put into folders.
 * @param {Chosen[]} chosen
 */
export function withoutClutter(chosen) {
  return chosen.filter(({ path }) => {
    const names = path.toLowerCase().split("/");
    const isHidden = names.some((name) => name.startsWith(".") || name === "__macosx");
    return !isHidden && !CLUTTER.has(names[names.length - 1]);
  });
}

/**
 * As people number them: image2 before image10. The browser hands over a folder's files in any order.
 * @param {Source[]} sources
 */
export function inNaturalOrder(sources) {
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  return sources.sort((one, other) => compare(one.path, other.path));
}

/**
 * Look up the sizes. Each may need the disk, so the page goes on between every few.
 * @param {Chosen[]} chosen
 * @returns {Promise<Source[]>}
 */
export async function withSizes(chosen) {
  /** @type {Source[]} */
  const sources = [];
  for (let start = 0; start < chosen.length; start += SIZES_AT_ONCE) {
    for (const one of chosen.slice(start, start + SIZES_AT_ONCE)) {
      sources.push({ ...one, size: one.size ?? one.file?.size ?? 0 });
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
  return sources;
}

/**
 * The files inside an archive, each with a `read` of its own; any other file as it is.
 * @param {Source} source
 * @param {Limits} limits
 * @returns {Promise<Source[]>}
 */
export async function unpack(source, limits) {
  const { file, path } = source;
  if (!file || !isArchive(path)) return [source];
  const unzipper = await import("../unzip.js").catch(() => null);
  if (!unzipper) return [source]; // the portal unpacks it instead
  const folder = path.slice(0, -".zip".length);
  try {
    const members = await unzipper.unzip(file, limits);
    return members.map((member) => ({ ...member, file, path: `${folder}/${member.path}` }));
  } catch (error) {
    if (error instanceof unzipper.UnzipError) return [{ ...source, refusal: error.code }];
    // It was moved or changed since it was chosen, or is more than this page can hold. The other files go on.
    console.error(error);
    return [unreadable(path)];
  }
}

/**
 * Whether a file can still be read: sending one that was moved or changed fails as a broken network does.
 * @param {Blob} file
 */
export async function canRead(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
