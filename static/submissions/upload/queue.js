// Sends files, one request each and a few at a time, and tries again. A file has one key, so that the portal takes
// it once, however often it is sent.

/** @import { Submission } from "./client.js" */
/** @import { Item } from "./items.js" */

import { SignedOutError } from "../../shared/csrf.js";
import { requireElement } from "../../shared/dom.js";
import { fill } from "../../shared/format.js";
import { SubmissionClient } from "./client.js";
import { FileItems } from "./items.js";
import { canRead } from "./sources.js";

const REQUESTS_AT_ONCE = 4;
const ATTEMPTS = 6;
/** Seconds before the second attempt; twice as long before each further one. */
const FIRST_WAIT = 1;

/**
 * Who shows the queue. `onProblem` gets a sentence about what keeps all files from going on, or an empty one;
 * `onEnded` the number of files that could not be sent, once no file waits any more.
 * @typedef {{onItem: (item: Item) => void, onProgress: () => void, onProblem: (sentence: string) => void,
 *   onEnded: (unsent: number) => void}} Listener
 */

/** The person cancelled the submission elsewhere; the message is the portal's sentence. */
class CancelledError extends Error {}

/** @param {number} seconds */
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** The files of one page, in the order in which they were added. */
export class Queue {
  /**
   * @param {HTMLFormElement} form
   * @param {Record<string, string>} words of xrayportal/web/submissions/upload_words.py
   * @param {Listener} listener
   */
  constructor(form, words, listener) {
    this.words = words;
    this.listener = listener;
    this.client = new SubmissionClient(form);
    this.files = new FileItems(words, Number(form.dataset.limit), listener.onItem);
    this.grouping = requireElement(form, "[name=grouping]", HTMLSelectElement);
    /** @type {Promise<void> | null} the submission being opened, or open */
    this.opening = null;
    /** The id of the submission that the portal closed while this page paused. */
    this.closedId = "";
    /** Requests under way. */
    this.active = 0;
    /** Archives being unpacked: more files will be added. */
    this.unpacking = 0;
    this.isPaused = false;
    /** The person or the page ended it: nothing more is sent. */
    this.isClosed = false;
  }

  /** Whether leaving the page would lose files. */
  get isBusy() {
    return this.files.all.length > 0 && !this.isClosed;
  }

  /** Send what waits, as many at once as may be. */
  async pump() {
    // Nothing is opened while paused or closed. A file that was under way when the person cancelled ends here too.
    if (!this.opening && (this.isPaused || this.isClosed)) {
      this.listener.onProgress();
      return;
    }
    try {
      await this.#ensureOpen();
    } catch (error) {
      this.pause(true);
      this.listener.onProblem(this.#problem(error));
      return;
    }
    while (!this.isPaused && !this.isClosed && this.active < REQUESTS_AT_ONCE) {
      const item = this.files.next();
      if (!item) break;
      this.#send(item);
    }
    this.listener.onProgress();
    const hasEnded = !this.unpacking && !this.active && this.files.ended === this.files.all.length;
    if (hasEnded && !this.isClosed) this.listener.onEnded(this.files.counts.unsent ?? 0);
  }

  /** @param {boolean} isPaused */
  pause(isPaused) {
    this.isPaused = isPaused;
    if (isPaused) {
      for (const item of this.files.all.filter(({ state }) => state === "sending")) {
        this.files.setState(item, "waiting");
        item.request?.abort();
      }
    } else {
      this.listener.onProblem("");
      this.pump();
    }
    this.listener.onProgress();
  }

  /**
   * Take back what arrived.
   * @returns {Promise<string | null>} the submission's page, null where none was opened yet
   */
  async cancel() {
    this.isClosed = true;
    for (const item of this.files.all) item.request?.abort();
    const { submission } = this.client;
    if (submission) await this.client.end(submission.cancel);
    return submission?.page ?? null;
  }

  /** Try the files once more that could not be sent, and no others. */
  retry() {
    for (const item of this.files.all) {
      if (item.state === "unsent" && !item.unreadable) this.files.setState(item, "waiting");
    }
    this.pump();
  }

  /**
   * End the submission.
   * @returns {Promise<string>} its page
   */
  async finish() {
    this.isClosed = true;
    const { submission } = this.client;
    if (!submission) throw new Error("No submission is open");
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const { state, page } = await this.client.end(submission.finish);
      if (state) return page;
      await sleep(FIRST_WAIT * 2 ** (attempt - 1));
    }
    // Where no attempt was answered, the page has a button to finish it, and the portal does so after a while.
    return submission.page;
  }

  /** @param {unknown} error of opening a submission */
  #problem(error) {
    if (error instanceof SignedOutError) return this.words.signed_out;
    return error instanceof CancelledError ? error.message : this.words.no_start;
  }

  /** Open the submission once, however many files wait for it. */
  #ensureOpen() {
    this.opening ??= this.#orForget(this.#open());
    return this.opening;
  }

  /** A failed opening is forgotten, so that the next try opens anew. @param {Promise<void>} opening */
  #orForget(opening) {
    return opening.catch((error) => {
      this.opening = null;
      throw error;
    });
  }

  #open() {
    const expected = this.files.all.length - this.files.ended;
    return this.client.open({ expected, grouping: this.grouping.value, continues: this.closedId });
  }

  /**
   * The portal closed the submission during a long pause: the rest goes into a new one.
   * @param {Submission} closed
   * @param {string} sentence the portal's, shown where a person cancelled the submission
   */
  #continueInNew(closed, sentence) {
    if (this.client.submission !== closed) return; // the answer to another file came first
    this.client.submission = null;
    this.closedId = closed.id;
    this.files.reuseLabels();
    const reopen = async () => {
      if ((await this.client.end(closed.finish)).state === "cancelled") throw new CancelledError(sentence);
      await this.#open();
      this.listener.onProblem(this.words.continued);
    };
    this.opening = this.#orForget(reopen());
  }

  /** @param {Item} item */
  async #send(item) {
    this.active += 1;
    this.files.setState(item, "sending", fill(this.words.sending, { percent: 0 }));
    try {
      await this.#unpackMember(item);
      if (item.state === "sending") await this.#sendWithRetries(item);
    } finally {
      this.active -= 1;
    }
    this.pump();
  }

  /** Take a file out of its archive just before it is sent: there may be thousands. @param {Item} item */
  async #unpackMember(item) {
    if (!item.read || item.refusal) return;
    try {
      item.file = await item.read();
      item.read = null;
    } catch (error) {
      if (error instanceof DOMException)
        this.files.setUnreadable(item); // the archive was moved
      else item.refusal = "member-damaged";
    }
  }

  /**
   * Try until the portal answers: a broken network and a restart are passing, a refusal is not.
   * @param {Item} item
   */
  async #sendWithRetries(item) {
    const attempt = Symbol("attempt");
    item.attempt = attempt;
    // Paused or cancelled meanwhile.
    const isStopped = () => item.attempt !== attempt || item.state === "waiting" || this.isClosed;
    let hasNewToken = false;
    for (let count = 1; ; count += 1) {
      if (isStopped()) return;
      const { submission } = this.client;
      if (!submission) {
        this.files.setState(item, "waiting"); // for the new submission
        return;
      }
      const sent = await this.client.send(submission, item, (share) => {
        this.files.setProgress(item, share);
        this.listener.onProgress();
      });
      const { answer } = sent;
      let { status } = sent;
      if (isStopped()) return;
      if (status === 403 && !hasNewToken) {
        hasNewToken = true;
        status = await this.client.renewToken().then(
          () => 0,
          (error) => (error instanceof SignedOutError ? 401 : 0),
        );
        if (isStopped()) return;
      }
      if (answer && (status === 200 || status === 201)) {
        this.files.setOutcome(item, answer);
        return;
      }
      if (status === 401) {
        this.files.setState(item, "waiting");
        this.pause(true);
        this.listener.onProblem(this.words.signed_out);
        return;
      }
      if (status === 429 && answer?.sentence) {
        // A limit of the clinic or the person, which no haste passes.
        this.files.setState(item, "waiting");
        this.pause(true);
        this.listener.onProblem(answer.sentence);
        return;
      }
      if (status === 409) {
        this.files.setState(item, "waiting");
        this.#continueInNew(submission, answer?.sentence ?? "");
        return;
      }
      if (status !== 0 && status !== 429 && status < 500) {
        const refused = fill(this.words.refused, { name: item.path, code: status });
        this.files.setState(item, "unsent", answer?.sentence ?? refused);
        return;
      }
      if (status === 0 && !item.refusal && !(item.file && (await canRead(item.file)))) {
        this.files.setUnreadable(item);
        return;
      }
      if (count === ATTEMPTS) {
        this.files.setState(item, "unsent", fill(this.words.unsent, { name: item.path }));
        return;
      }
      const seconds = FIRST_WAIT * 2 ** (count - 1);
      this.files.setState(item, "sending", fill(this.words.again, { seconds }));
      await sleep(seconds * (0.75 + Math.random() / 2));
    }
  }
}
