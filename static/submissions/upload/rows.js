// The files being sent, as rows. Only rows in sight are on the page, however many files there are.

/** @import { Item } from "./items.js" */

import { requireElement } from "../../shared/dom.js";
import { formatBytes } from "../../shared/format.js";
import { oncePerFrame } from "../../shared/frames.js";

/** Rows kept ready above and below those in sight. */
const SPARE_ROWS = 6;
const MAX_FAILURES = 50;

export class FileRows {
  /**
   * @param {HTMLElement} box scrolls, and holds the list
   * @param {HTMLTemplateElement} template of one row
   */
  constructor(box, template) {
    this.box = box;
    this.list = requireElement(box, "ol", HTMLElement);
    this.template = template;
    /** @type {Item[]} */
    this.items = [];
    /** @type {Map<number, HTMLElement>} rows on the page by the position of their file */
    this.rows = new Map();
    /** Of one row, CSS pixels. */
    this.height = 0;
    /** Whether the list scrolls along with what is being sent. */
    this.follows = true;
    /** The position of the file that was sent last. */
    this.lastSent = 0;
    box.addEventListener(
      "scroll",
      oncePerFrame(() => this.#draw()),
      { passive: true },
    );
    new ResizeObserver(() => this.#measure()).observe(box);
    // A person who looks through the list themselves stays where they look.
    for (const event of ["wheel", "touchmove", "pointerdown", "keydown", "focusin"]) {
      const stay = () => {
        this.follows = false;
      };
      box.addEventListener(event, stay, { passive: true });
    }
  }

  /** Show more files. @param {Item[]} items */
  add(items) {
    for (const item of items) {
      item.position = this.items.length;
      this.items.push(item);
    }
    this.#measure();
  }

  /** Show the new state of a file. @param {Item} item */
  refresh(item) {
    if (item.position === undefined) return; // not in the list yet
    const row = this.rows.get(item.position);
    if (row) this.#update(row, item);
    if (item.state !== "sending") return;
    this.lastSent = Math.max(this.lastSent, item.position);
    this.#scrollToLastSent();
  }

  /** All rows have one height, which the style sheet sets for this width of the window. */
  #measure() {
    this.height = Number.parseFloat(getComputedStyle(this.box).getPropertyValue("--row-height"));
    this.list.style.height = `${this.height * this.items.length}px`;
    for (const [position, row] of this.rows) this.#place(row, position);
    this.#draw();
    this.#scrollToLastSent();
  }

  #draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - SPARE_ROWS);
    const count = Math.ceil(this.box.clientHeight / this.height) + 2 * SPARE_ROWS;
    const end = Math.min(this.items.length, first + count);
    for (const [position, row] of this.rows) {
      if (position >= first && position < end) continue;
      row.remove();
      this.rows.delete(position);
    }
    // In the order of the files, because screen readers read the page in its own order.
    let next = null;
    for (let position = end - 1; position >= first; position -= 1) {
      let row = this.rows.get(position);
      if (!row) {
        row = this.#create(this.items[position], position);
        this.#place(row, position);
        this.list.insertBefore(row, next);
        this.rows.set(position, row);
      }
      next = row;
    }
  }

  /** Keep what is being sent in sight: by a pageful, when it has reached the lower edge. */
  #scrollToLastSent() {
    if (!this.follows) return;
    const top = this.lastSent * this.height;
    const { scrollTop, clientHeight } = this.box;
    if (top >= scrollTop && top + this.height <= scrollTop + clientHeight) return;
    this.box.scrollTop = top - this.height;
  }

  /** @param {HTMLElement} row @param {number} position */
  #place(row, position) {
    row.style.transform = `translateY(${position * this.height}px)`;
  }

  /** @param {Item} item @param {number} position @returns {HTMLElement} */
  #create(item, position) {
    const content = document.importNode(this.template.content, true);
    const row = requireElement(content, ".sending-file", HTMLElement);
    const name = requireElement(row, ".sending-name", HTMLElement);
    name.textContent = item.path;
    name.title = item.path;
    requireElement(row, ".sending-size", HTMLElement).textContent = formatBytes(item.size);
    row.setAttribute("aria-posinset", String(position + 1));
    row.setAttribute("aria-setsize", String(this.items.length));
    this.#update(row, item);
    return row;
  }

  /** @param {HTMLElement} row @param {Item} item */
  #update(row, item) {
    row.dataset.state = item.state;
    const share = item.size ? item.bytesSent / item.size : Number(item.bytesSent > 0);
    requireElement(row, "progress", HTMLProgressElement).value = share;
    const status = requireElement(row, ".sending-status", HTMLElement);
    const link = status.firstElementChild;
    if (item.study && link?.getAttribute("href") !== item.study) {
      const study = document.createElement("a");
      Object.assign(study, { href: item.study, target: "_blank", textContent: item.status });
      status.replaceChildren(study);
    } else if (!item.study) {
      status.textContent = item.status;
    }
  }
}

/** Why files were not taken, in sentences above the rows; the submission's page lists them all. */
export class FailureList {
  /** @param {HTMLElement} list @param {(count: number) => string} more the sentence for those left out */
  constructor(list, more) {
    this.list = list;
    this.more = more;
    /** @type {Map<Item, string>} */
    this.sentences = new Map();
    this.drawSoon = oncePerFrame(() => this.#draw());
  }

  /**
   * Show this sentence about a file, or none where it is empty.
   * @param {Item} item
   * @param {string} sentence
   */
  set(item, sentence) {
    if ((this.sentences.get(item) ?? "") === sentence) return;
    if (sentence) this.sentences.set(item, sentence);
    else this.sentences.delete(item);
    this.drawSoon();
  }

  #draw() {
    const sentences = [...this.sentences.values()];
    const leftOut = sentences.length - MAX_FAILURES;
    const lines = sentences.slice(0, MAX_FAILURES).concat(leftOut > 0 ? [this.more(leftOut)] : []);
    this.list.hidden = !lines.length;
    this.list.replaceChildren(
      ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
    );
  }
}
