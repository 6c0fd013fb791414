// The uploader on its page or in its sheet: hands what was chosen or dropped to the queue and shows how the queue is
// doing. Without this script the form of templates/submissions/_uploader.html posts its files itself.

/** @import { Item } from "./upload/items.js" */
/** @import { Chosen } from "./upload/sources.js" */

import { findElement, findElements, requireElement } from "../shared/dom.js";
import { fill, formatBytes } from "../shared/format.js";
import { oncePerFrame } from "../shared/frames.js";
import { Queue } from "./upload/queue.js";
import { FailureList, FileRows } from "./upload/rows.js";
import {
  droppedFiles,
  inNaturalOrder,
  unpack,
  withoutClutter,
  withPath,
  withSizes,
} from "./upload/sources.js";

/** Milliseconds until the page says that it is still looking through what was chosen. */
const SLOW_MS = 300;
/** Milliseconds between two announcements of the progress to screen readers. */
const ANNOUNCE_MS = 10_000;

class Uploader {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
    /** @type {Record<string, string>} */
    this.words = JSON.parse(requireElement(form, "script[type='application/json']", HTMLElement).textContent);
    this.limits = { ...JSON.parse(form.dataset.archive ?? ""), maxFileBytes: Number(form.dataset.limit) };

    this.grouping = requireElement(form, "[name=grouping]", HTMLSelectElement);
    this.looking = requireElement(form, "[data-looking]", HTMLElement);
    this.problem = requireElement(form, "[data-problem]", HTMLElement);
    this.sending = requireElement(form, "[data-sending]", HTMLElement);
    this.progress = requireElement(form, "[data-progress]", HTMLProgressElement);
    this.summary = requireElement(form, "[data-summary]", HTMLElement);
    this.timeLeft = requireElement(form, "[data-time-left]", HTMLElement);
    this.announcement = requireElement(form, "[data-announcement]", HTMLElement);
    this.pauseButton = requireElement(form, "[data-pause]", HTMLButtonElement);
    this.retryButton = requireElement(form, "[data-retry]", HTMLButtonElement);
    this.finishButton = requireElement(form, "[data-finish]", HTMLButtonElement);

    this.rows = new FileRows(
      requireElement(form, "[data-files]", HTMLElement),
      requireElement(form, "[data-row]", HTMLTemplateElement),
    );
    this.failures = new FailureList(requireElement(form, "[data-failures]", HTMLElement), (count) =>
      fill(this.words.more_failures, { count }),
    );
    this.queue = new Queue(form, this.words, {
      onItem: (item) => this.#showItem(item),
      onProgress: oncePerFrame(() => {
        if (!this.queue.isClosed) this.#showProgress();
      }),
      onProblem: (sentence) => this.#showProblem(sentence),
      onEnded: (unsent) => this.#end(unsent),
    });
    /** Milliseconds of sending, without pauses. */
    this.elapsed = 0;
    /** @type {number | undefined} when `elapsed` was last counted, milliseconds of `performance.now` */
    this.countedAt = undefined;
    this.announcedAt = 0;
    /** @type {boolean | undefined} */
    this.announcedPause = undefined;
    this.#listen();
  }

  #listen() {
    for (const input of findElements(this.form, "[data-choose]", HTMLInputElement)) {
      const take = () => {
        this.take([...(input.files ?? [])].map((file) => withPath(file)));
        input.value = "";
      };
      input.addEventListener("change", take);
      if (input.files?.length) take(); // chosen before this script had loaded
    }
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.pauseButton.addEventListener("click", () => this.queue.pause(!this.queue.isPaused));
    this.retryButton.addEventListener("click", () => this.#retry());
    this.finishButton.addEventListener("click", () => this.#finish());
    requireElement(this.form, "[data-cancel]", HTMLButtonElement).addEventListener("click", () =>
      this.#cancel(),
    );
    addEventListener("beforeunload", (event) => {
      if (!this.queue.isBusy) return;
      event.preventDefault();
      event.returnValue = true; // older browsers ask only then
    });
  }

  /**
   * Send what was chosen; a large folder takes a while to look through.
   * @param {Chosen[] | Promise<Chosen[]>} chosen
   */
  async take(chosen) {
    const slow = setTimeout(() => {
      this.looking.hidden = false;
    }, SLOW_MS);
    try {
      await this.#add(await chosen);
    } finally {
      clearTimeout(slow);
      this.looking.hidden = true;
    }
  }

  /** @param {Chosen[]} chosen */
  async #add(chosen) {
    if (this.queue.isClosed) return; // on the way to the submission's page
    const files = withoutClutter(chosen);
    if (!files.length) {
      if (chosen.length) this.#showProblem(this.words.nothing);
      return;
    }
    this.#showProblem("");
    const sources = await this.#unpackAll(files);
    if (!sources.length && !this.queue.files.all.length) {
      this.#showProblem(this.words.nothing); // an archive of folders only
      return;
    }
    this.form.classList.add("uploader-busy");
    this.grouping.disabled = true; // the submission is opened with it
    this.#keepDetails();
    this.sending.hidden = false;
    this.#askWhatNext(false);
    this.rows.add(this.queue.files.add(sources));
    this.countedAt ??= performance.now();
    this.queue.pump();
  }

  /** What was said of all files when the first of them were chosen holds for those that are added, too. */
  #keepDetails() {
    for (const field of findElements(this.form, "[data-detail]", HTMLElement)) {
      if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement) || field.disabled)
        continue;
      this.queue.client.details[field.name] = field.value;
      field.disabled = true;
    }
  }

  /**
   * The files in order, archives as the files inside them. Files added before go on meanwhile, and do not finish.
   * @param {Chosen[]} chosen
   */
  async #unpackAll(chosen) {
    this.queue.unpacking += 1;
    try {
      const sources = await withSizes(chosen);
      const unpacked = await Promise.all(sources.map((source) => unpack(source, this.limits)));
      return inNaturalOrder(unpacked.flat());
    } finally {
      this.queue.unpacking -= 1;
    }
  }

  async #cancel() {
    const page = await this.queue.cancel();
    if (page) location.assign(page);
    else location.reload();
  }

  #retry() {
    this.#askWhatNext(false);
    this.#showProblem("");
    this.queue.retry();
  }

  /**
   * No file waits any more: finish, unless some could not be sent; then the person decides.
   * @param {number} unsent
   */
  #end(unsent) {
    if (!unsent) {
      this.#finish();
      return;
    }
    this.#askWhatNext(true);
    this.#showProblem(unsent === 1 ? this.words.one_unsent : fill(this.words.some_unsent, { count: unsent }));
  }

  /** Offer to try again or to finish, in place of the pause. @param {boolean} isAsking */
  #askWhatNext(isAsking) {
    const canRetry = this.queue.files.all.some(({ state, unreadable }) => state === "unsent" && !unreadable);
    this.retryButton.hidden = !isAsking || !canRetry;
    this.finishButton.hidden = !isAsking;
    this.pauseButton.hidden = isAsking;
  }

  async #finish() {
    if (this.queue.isClosed || this.queue.active) return;
    const page = this.queue.finish(); // a single picture leads to its study
    this.summary.textContent = this.words.finishing;
    this.announcement.textContent = this.words.finishing;
    this.timeLeft.textContent = "";
    location.assign(await page);
  }

  /** @param {Item} item */
  #showItem(item) {
    this.rows.refresh(item);
    const hasFailed = item.state === "rejected" || item.state === "unsent";
    this.failures.set(item, hasFailed ? item.explanation : "");
  }

  #showProgress() {
    const { isPaused } = this.queue;
    const { bytes, bytesSent, ended, counts, all } = this.queue.files;
    this.#countTime(isPaused);
    this.progress.max = bytes || 1;
    this.progress.value = bytesSent;
    const values = {
      done: ended,
      total: all.length,
      sent: formatBytes(bytesSent),
      size: formatBytes(bytes),
    };
    const parts = [fill(isPaused ? this.words.paused : this.words.progress, values)];
    if (counts.duplicate) parts.push(fill(this.words.some_duplicate, { count: counts.duplicate }));
    if (counts.rejected) parts.push(fill(this.words.some_rejected, { count: counts.rejected }));
    this.summary.textContent = parts.join(" · ");
    this.timeLeft.textContent = isPaused ? "" : this.#formatTimeLeft(bytesSent, bytes);
    this.#showPause(isPaused);
    const now = performance.now();
    if (now - this.announcedAt < ANNOUNCE_MS && isPaused === this.announcedPause) return;
    this.announcedAt = now;
    this.announcedPause = isPaused;
    this.announcement.textContent = parts.join(". ");
  }

  /** @param {boolean} isPaused */
  #showPause(isPaused) {
    const label = isPaused ? this.words.resume : this.words.pause;
    requireElement(this.pauseButton, "span", HTMLElement).textContent = label;
    this.pauseButton.setAttribute("aria-pressed", String(isPaused));
  }

  /** @param {boolean} isPaused */
  #countTime(isPaused) {
    const now = performance.now();
    if (this.countedAt !== undefined) this.elapsed += now - this.countedAt;
    this.countedAt = isPaused ? undefined : now;
  }

  /** Empty while it cannot be told yet. @param {number} bytesSent @param {number} bytes */
  #formatTimeLeft(bytesSent, bytes) {
    const elapsed = this.elapsed / 1000;
    if (elapsed < 3 || bytesSent < bytes / 100) return "";
    const seconds = ((bytes - bytesSent) * elapsed) / bytesSent;
    const span =
      seconds < 60
        ? fill(this.words.seconds, { n: Math.max(5, Math.ceil(seconds / 5) * 5) })
        : fill(this.words.minutes, { n: Math.round(seconds / 60) });
    return fill(this.words.left, { span });
  }

  /** @param {string} sentence hidden where it is empty */
  #showProblem(sentence) {
    this.problem.textContent = sentence;
    this.problem.hidden = !sentence;
  }
}

/**
 * Take files that are dropped anywhere on the page.
 * @param {Uploader} uploader
 * @param {HTMLDialogElement | null} sheet
 */
function listenToDrops(uploader, sheet) {
  /** Elements under the pointer that were entered and not left yet. */
  let depth = 0;

  /** @param {DragEvent} event */
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  /** @param {boolean} isOver */
  const showTarget = (isOver) => document.body.classList.toggle("uploader-target", isOver);

  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    showTarget(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) showTarget(false);
  });
  addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!event.dataTransfer || !hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    showTarget(false);
    const files = droppedFiles(event.dataTransfer); // before any await: the transfer is empty after the event
    if (sheet && !sheet.open) sheet.showModal();
    uploader.take(files);
  });
}

/** @param {Uploader} uploader @param {HTMLDialogElement} sheet */
function listenToSheet(uploader, sheet) {
  document.querySelector("[data-opens-uploader]")?.addEventListener("click", (event) => {
    const { ctrlKey, metaKey, shiftKey } = /** @type {MouseEvent} */ (event);
    if (ctrlKey || metaKey || shiftKey) return; // a new tab or window was asked for
    event.preventDefault();
    sheet.showModal();
  });
  // Files under way stay in sight: the sheet does not close. Browsers close it at a second Escape all the same.
  for (const name of ["cancel", "close"]) {
    sheet.addEventListener(name, (event) => {
      if (!uploader.queue.isBusy) return;
      event.preventDefault();
      if (!sheet.open) sheet.showModal();
    });
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const form = findElement(document, "[data-uploader]", HTMLFormElement);
  if (!form) return;
  const uploader = new Uploader(form);
  const sheet = form.closest("dialog");
  listenToDrops(uploader, sheet);
  if (sheet) listenToSheet(uploader, sheet);
});
