// The files of one upload, each with its state; how many are in each state, and how many bytes were sent.

/** @import { Stored } from "./client.js" */
/** @import { Source } from "./sources.js" */

import { fill } from "../../shared/format.js";
import { isLabels } from "./sources.js";

/** States in which a file stays, unless the person tries again. */
const ENDED = new Set(["accepted", "duplicate", "applied", "rejected", "unsent"]);

/**
 * One file to send. `status` stands in its row; `explanation` is a sentence, where there is more to say; `position`
 * is its row; `study` the address of the study that a duplicate belongs to; `attempt` is new whenever sending begins
 * anew.
 * @typedef {Source & {
 *   key: string, bytesSent: number, status: string, explanation: string, position?: number, study?: string | null,
 *   state: "" | "waiting" | "sending" | "accepted" | "duplicate" | "applied" | "rejected" | "unsent",
 *   request?: XMLHttpRequest | null, attempt?: symbol,
 * }} Item
 */

/** 128 random bits. Not `crypto.randomUUID`, which browsers keep from pages that came over plain HTTP. */
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );

/** @param {Item} item */
const isWaiting = (item) => item.state === "waiting";

/** The files in the order in which they were added. */
export class FileItems {
  /**
   * @param {Record<string, string>} words of xrayportal/web/submissions/upload_words.py
   * @param {number} limit bytes of one file
   * @param {(item: Item) => void} onChange
   */
  constructor(words, limit, onChange) {
    this.words = words;
    this.limit = limit;
    this.onChange = onChange;
    /** @type {Item[]} */
    this.all = [];
    /** @type {Item[]} sent first and alone, because labels hold for the pictures that follow them */
    this.labels = [];
    /** @type {Record<string, number>} how many files are in each state */
    this.counts = {};
    /** Of all files. */
    this.bytes = 0;
    this.bytesSent = 0;
    /** No item before this index waits. */
    this.firstWaiting = 0;
  }

  /** Files that are not sent any more. */
  get ended() {
    return [...ENDED].reduce((sum, state) => sum + (this.counts[state] ?? 0), 0);
  }

  /** @param {Source[]} sources @returns {Item[]} what was added */
  add(sources) {
    return sources.map((source) => this.#addItem(source));
  }

  /** The file to send next. @returns {Item | undefined} */
  next() {
    this.labels = this.labels.filter((item) => !ENDED.has(item.state));
    if (this.labels.length) return this.labels.find(isWaiting);
    while (this.firstWaiting < this.all.length && !isWaiting(this.all[this.firstWaiting])) {
      this.firstWaiting += 1;
    }
    return this.all[this.firstWaiting];
  }

  /** Labels hold for one submission: send them again to the next. */
  reuseLabels() {
    for (const item of this.all) {
      if (item.state !== "applied") continue;
      this.setState(item, "waiting");
      this.labels.push(item);
    }
  }

  /** @param {Item} item @param {Stored} stored */
  setOutcome(item, { outcome, sentence, study }) {
    if (outcome === "duplicate") item.study = study;
    this.setState(item, outcome, this.words[outcome] ?? outcome, sentence);
  }

  /** @param {Item} item @param {number} share 0 to 1 */
  setProgress(item, share) {
    if (item.state !== "sending") return;
    this.#setBytesSent(item, share * item.size);
    const percent = Math.floor(share * 100);
    const status = percent < 100 ? fill(this.words.sending, { percent }) : this.words.storing;
    this.setState(item, "sending", status);
  }

  /** @param {Item} item */
  setUnreadable(item) {
    this.setState(item, "unsent", fill(this.words.unreadable, { name: item.path }));
  }

  /**
   * @param {Item} item
   * @param {Item["state"]} state
   * @param {string} [status]
   * @param {string} [explanation]
   */
  setState(item, state, status = this.words[state] ?? "", explanation = state === "unsent" ? status : "") {
    if (item.state) this.counts[item.state] -= 1;
    this.counts[state] = (this.counts[state] ?? 0) + 1;
    item.state = state;
    item.status = state === "unsent" ? this.words.not_sent : status;
    item.explanation = explanation;
    if (state === "waiting") {
      this.#setBytesSent(item, 0);
      this.firstWaiting = Math.min(this.firstWaiting, item.position ?? this.firstWaiting);
    }
    if (ENDED.has(state)) {
      this.#setBytesSent(item, item.size);
      item.request = null;
      // Frees what was unpacked too. The person may try an unsent file again; a new submission needs the labels.
      if (state !== "unsent" && state !== "applied") {
        item.file = null;
        item.read = null;
      }
    }
    this.onChange(item);
  }

  /** @param {Item} item @param {number} bytesSent */
  #setBytesSent(item, bytesSent) {
    this.bytesSent += bytesSent - item.bytesSent;
    item.bytesSent = bytesSent;
  }

  /** @param {Source} source @returns {Item} */
  #addItem(source) {
    /** @type {Item} */
    const item = { ...source, key: newKey(), bytesSent: 0, state: "", status: "", explanation: "" };
    item.refusal ||= item.size > this.limit ? "too-large" : "";
    if (isLabels(item.path)) this.labels.push(item);
    this.all.push(item);
    this.bytes += item.size;
    if (item.unreadable) this.setUnreadable(item);
    else this.setState(item, "waiting");
    return item;
  }
}
