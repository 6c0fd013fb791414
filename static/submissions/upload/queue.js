// Sends files one request each, a few at a time, and keeps at it: a file has one key, so sending it again is harmless.

import { Portal, SignedOut } from "./portal.js";
import { canRead, isTable } from "./sources.js";
import { fill } from "./words.js";

const AT_ONCE = 4;
const TRIES = 6;
const FIRST_WAIT = 1; // seconds, doubled each time
const ENDED = new Set(["accepted", "duplicate", "applied", "rejected", "unsent"]);

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Not `crypto.randomUUID`, which browsers keep from pages that came over plain HTTP. */
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The submission was cancelled meanwhile; the message is the portal's sentence. */
class CancelledError extends Error {}

/**
 * The files of one page. What happens is told to `watcher`: `changed(item)` of a file, `moved()` of the whole,
 * `says(sentence)` of what keeps it all from going on, `settled(unsent)` when every file has its outcome.
 */
export class Queue {
  /**
   * @param {HTMLFormElement} form
   * @param {Record<string, string>} words
   * @param {{changed: Function, moved: Function, says: Function, settled: Function}} watcher
   */
  constructor(form, words, watcher) {
    this.form = form;
    this.words = words;
    this.watcher = watcher;
    this.portal = new Portal(form);
    this.limit = Number(form.dataset.limit);
    this.items = [];
    /** Places of the tables: they go first and alone, what they say holds for the pictures that follow. */
    this.tables = [];
    /** How many files are in each state; bytes of all, and those that were sent. */
    this.counts = {};
    this.size = this.sent = 0;
    this.from = 0; // no file before this place waits
    this.starting = null;
    this.ended = ""; // the submission that was ended while we paused
    this.active = 0;
    /** Archives that are being opened: more files are to come. */
    this.opening = 0;
    this.paused = false;
    this.over = false;
  }

  get done() {
    return [...ENDED].reduce((sum, state) => sum + (this.counts[state] ?? 0), 0);
  }

  get isBusy() {
    return Boolean(this.items.length) && !this.over;
  }

  /** Take files over. @param {import("./sources.js").Source[]} sources @returns {object[]} the items made of them */
  add(sources) {
    const items = sources.map((source) => ({ ...source, key: newKey(), sent: 0, state: "", said: "" }));
    for (const item of items) {
      item.refusal ||= item.size > this.limit ? "too-large" : "";
      if (isTable(item.path)) this.tables.push(this.items.length);
      this.items.push(item);
      this.size += item.size;
      if (item.broken) this.mark(item, "unsent", fill(this.words.unreadable, { name: item.path }));
      else this.mark(item, "waiting");
    }
    return items;
  }

  async pump() {
    // While all rests nothing is opened: a file that was on its way when the submission was cancelled ends here too.
    if (!this.starting && (this.paused || this.over)) {
      this.watcher.moved();
      return;
    }
    try {
      await this.start();
    } catch (error) {
      this.pause(true);
      this.watcher.says(this.reason(error));
      return;
    }
    while (!this.paused && !this.over && this.active < AT_ONCE) {
      const item = this.next();
      if (!item) break;
      this.send(item);
    }
    this.watcher.moved();
    const isSettled = !this.opening && !this.active && this.done === this.items.length;
    if (isSettled && !this.over) this.watcher.settled(this.counts.unsent ?? 0);
  }

  reason(error) {
    if (error instanceof SignedOut) return this.words.signed_out;
    return error instanceof CancelledError ? error.message : this.words.no_start;
  }

  /** Open the submission on the portal, once, however many files wait for it. */
  start() {
    this.starting ??= this.open().catch((error) => {
      this.starting = null;
      throw error;
    });
    return this.starting;
  }

  open() {
    const expected = this.items.length - this.done;
    return this.portal.open({ expected, grouping: this.form.elements.grouping.value, continues: this.ended });
  }

  /** The submission behind `ended` takes no more: after a long pause the rest goes into a new one. */
  goOn(ended, sentence) {
    if (this.portal.addresses !== ended) return; // another file was told the same
    this.portal.addresses = null;
    this.ended = ended.id;
    for (const item of this.items) {
      if (item.state !== "applied") continue; // what a table says holds for one submission
      this.mark(item, "waiting");
      this.tables.push(item.place);
    }
    this.starting = (async () => {
      if ((await this.portal.end(ended.finish)) === "cancelled") throw new CancelledError(sentence);
      await this.open();
      this.watcher.says(this.words.continued);
    })().catch((error) => {
      this.starting = null;
      throw error;
    });
  }

  next() {
    this.tables = this.tables.filter((place) => !ENDED.has(this.items[place].state));
    if (this.tables.length) return this.tables.map((place) => this.items[place]).find(isWaiting);
    while (this.from < this.items.length && !isWaiting(this.items[this.from])) this.from += 1;
    return this.items[this.from];
  }

  async send(item) {
    this.active += 1;
    this.mark(item, "sending", fill(this.words.sending, { percent: 0 }));
    try {
      await this.takeOut(item);
      if (item.state === "sending") await this.sendPatiently(item);
    } finally {
      this.active -= 1;
    }
    this.pump();
  }

  /** Take a member out of its archive just before it is sent, and not before: there may be thousands. */
  async takeOut(item) {
    if (!item.read || item.refusal) return;
    try {
      item.file = await item.read();
      item.read = null;
    } catch (error) {
      if (error instanceof DOMException) {
        this.mark(item, "unsent", fill(this.words.unreadable, { name: item.path })); // the archive was moved
      } else {
        item.refusal = "member-damaged";
      }
    }
  }

  /** Try until there is an answer: the network and a restarting portal are forgiven, a refusal is not. */
  async sendPatiently(item) {
    const run = (item.run = {});
    const stopped = () => item.run !== run || item.state === "waiting" || this.over; // paused or cancelled
    let renewed = false;
    for (let attempt = 1; ; attempt += 1) {
      if (stopped()) return;
      const { addresses } = this.portal;
      if (!addresses) {
        this.mark(item, "waiting"); // for the new submission
        return;
      }
      let { status, told } = await this.portal.post(item, (share) => this.progressed(item, share));
      if (stopped()) return;
      if (status === 403 && !renewed) {
        renewed = true;
        status = await this.portal.renewToken().then(() => 0, (error) => (error instanceof SignedOut ? 401 : 0));
        if (stopped()) return;
      }
      if (status === 200 || status === 201) {
        if (told.outcome === "duplicate") item.study = told.study;
        this.mark(item, told.outcome, this.words[told.outcome] ?? told.outcome, told.sentence);
        return;
      }
      if (status === 401) {
        this.mark(item, "waiting");
        this.pause(true);
        this.watcher.says(this.words.signed_out);
        return;
      }
      if (status === 409) {
        this.mark(item, "waiting");
        this.goOn(addresses, told?.sentence ?? "");
        return;
      }
      if (status !== 0 && status !== 429 && status < 500) {
        this.mark(item, "unsent", told?.sentence ?? fill(this.words.refused, { name: item.path, code: status }));
        return;
      }
      if (status === 0 && !item.refusal && !(await canRead(item.file))) {
        this.mark(item, "unsent", fill(this.words.unreadable, { name: item.path }));
        return;
      }
      if (attempt === TRIES) {
        this.mark(item, "unsent", fill(this.words.unsent, { name: item.path }));
        return;
      }
      const seconds = FIRST_WAIT * 2 ** (attempt - 1);
      this.mark(item, "sending", fill(this.words.again, { seconds }));
      await sleep(seconds * (0.75 + Math.random() / 2));
    }
  }

  progressed(item, share) {
    if (item.state !== "sending") return;
    this.count(item, share * item.size);
    const percent = Math.floor(share * 100);
    this.mark(item, "sending", percent < 100 ? fill(this.words.sending, { percent }) : this.words.storing);
    this.watcher.moved();
  }

  pause(paused) {
    this.paused = paused;
    if (paused) {
      for (const item of this.items.filter(({ state }) => state === "sending")) {
        this.mark(item, "waiting");
        item.request?.abort();
      }
    } else {
      this.watcher.says("");
      this.pump();
    }
    this.watcher.moved();
  }

  /** Take back what arrived; resolves with the page to go to, or with null where nothing was opened yet. */
  async cancel() {
    this.over = true;
    for (const item of this.items) item.request?.abort();
    const { addresses } = this.portal;
    if (addresses) await this.portal.end(addresses.cancel);
    return addresses?.page ?? null;
  }

  /** Those alone that could not be sent. */
  sendAgain() {
    for (const item of this.items) {
      if (item.state === "unsent" && !item.broken) this.mark(item, "waiting");
    }
    this.pump();
  }

  /** Every file has its outcome; resolves with the page to go to. */
  async finish() {
    this.over = true;
    const { finish, page } = this.portal.addresses;
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      if (await this.portal.end(finish)) break;
      await sleep(FIRST_WAIT * 2 ** (attempt - 1));
    }
    // Unfinished after all tries: the page has a button for it, and the portal ends it by itself after a while.
    return page;
  }

  /** `said` stands in the file's row, `sentence` is what there is to say at more length. */
  mark(item, state, said = this.words[state] ?? "", sentence = state === "unsent" ? said : "") {
    if (item.state) this.counts[item.state] -= 1;
    this.counts[state] = (this.counts[state] ?? 0) + 1;
    Object.assign(item, { state, said: state === "unsent" ? this.words.not_sent : said, sentence });
    if (state === "waiting") {
      this.count(item, 0);
      this.from = Math.min(this.from, item.place ?? this.from);
    }
    if (ENDED.has(state)) {
      this.count(item, item.size);
      item.request = null;
      // With what was unpacked. A table may be asked for again.
      if (state !== "unsent" && state !== "applied") item.file = item.read = null;
    }
    this.watcher.changed(item);
  }

  count(item, sent) {
    this.sent += sent - item.sent;
    item.sent = sent;
  }
}

const isWaiting = (item) => item.state === "waiting";
