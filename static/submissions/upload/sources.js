// What was chosen or dropped: files with their place in the folder, and archives as the files inside them.

const SIZED_AT_ONCE = 100;
const CLUTTER = new Set(["thumbs.db", "desktop.ini", "dicomdir"]);

/**
 * One file to send. `read` takes it out of its archive; `refusal` is why it will not be taken, a code that the
 * portal knows; `broken` is one that the browser cannot read.
 * @typedef {{file: File | null, path: string, size: number, read?: () => Promise<File>, refusal?: string,
 *   broken?: boolean}} Source
 */

/** A file with its place in the folder it was chosen or dropped with; `sized` says how large it is. */
export const placed = (file, path = file.webkitRelativePath || file.name) => ({ file, path });

export const isTable = (path) => path.toLowerCase().endsWith(".csv");

const isArchive = (path) => path.toLowerCase().endsWith(".zip");

const broken = (path) => ({ file: null, path, size: 0, broken: true });

/**
 * Every file of what was dropped, folders walked. Call it before any await: the transfer empties after its event.
 * @param {DataTransfer} transfer
 * @returns {Promise<Source[]>}
 */
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => placed(file));
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

/** What cannot be read is kept by name: it spoils nothing else of the folder. */
async function walk(entry, found) {
  const path = entry.fullPath.replace(/^\//, "");
  try {
    if (entry.isFile) {
      found.push(placed(await new Promise((resolve, reject) => entry.file(resolve, reject)), path));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at most
      if (!some.length) return;
      for (const child of some) await walk(child, found);
    }
  } catch {
    found.push(broken(path));
  }
}

/** Without what systems leave in folders. @param {Source[]} sources */
export function withoutClutter(sources) {
  return sources.filter(({ path }) => {
    const parts = path.toLowerCase().split("/");
    return !CLUTTER.has(parts.at(-1)) && !parts.some((part) => part.startsWith(".") || part === "__macosx");
  });
}

/** As people number them: image2 before image10. Disks hand a folder's files over in any order. */
export function ordered(sources) {
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  return sources.sort((one, other) => compare(one.path, other.path));
}

/** Look up the sizes. Each may be a question to the disk: a few at a time, so that the page stays at hand. */
export async function sized(sources) {
  for (let at = 0; at < sources.length; at += SIZED_AT_ONCE) {
    for (const source of sources.slice(at, at + SIZED_AT_ONCE)) source.size ??= source.file.size;
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/**
 * What is inside an archive, each with a `read` of its own; anything else as it is.
 * @param {Source} source
 * @param {string} module  address of unzip.js
 * @param {object} limits  as unzip takes them
 * @returns {Promise<Source[]>}
 */
export async function unpacked(source, module, limits) {
  if (!isArchive(source.path) || source.broken) return [source];
  const opener = await import(module).catch(() => null);
  if (!opener) return [source]; // the portal can open it too
  const { unzip, UnzipError } = opener;
  const folder = source.path.slice(0, -".zip".length);
  try {
    const members = await unzip(source.file, limits);
    return members.map((member) => ({ ...member, file: source.file, path: `${folder}/${member.path}` }));
  } catch (error) {
    if (error instanceof UnzipError) return [{ ...source, refusal: error.code }];
    // Moved or changed since it was chosen; or more than this page can hold. The other files go on.
    console.error(error);
    return [broken(source.path)];
  }
}

/** A file that was moved or changed since it was chosen fails like a broken network does. @param {Blob} file */
export async function canRead(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
