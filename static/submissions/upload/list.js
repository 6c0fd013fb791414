// The files being sent, as rows. Only those in sight are on the page, however many files there are.

import { sizeWords } from "./words.js";

const BEYOND = 6; // rows kept ready above and below what is in sight
const TROUBLES = 50;

export class FileList {
  /**
   * @param {HTMLElement} box  scrolls; holds the list
   * @param {HTMLTemplateElement} template  of a row
   */
  constructor(box, template) {
    this.box = box;
    this.list = box.firstElementChild;
    this.template = template;
    this.items = [];
    /** @type {Map<number, HTMLElement>} rows on the page by the place of their file */
    this.rows = new Map();
    this.height = 0;
    this.follows = true;
    this.led = 0; // the place of the file that was sent last
    box.addEventListener("scroll", () => this.drawSoon(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(box);
    // Who looks through the list themselves is not led away from where they look.
    for (const event of ["wheel", "touchmove", "pointerdown", "keydown", "focusin"]) {
      box.addEventListener(event, () => (this.follows = false), { passive: true });
    }
  }

  /** Show files; each has `path`, `size`, `state`, `said`, `sent`, and `study` once it is a duplicate. */
  add(items) {
    for (const item of items) {
      item.place = this.items.length;
      this.items.push(item);
    }
    this.measure();
  }

  /** Something of this file has changed. */
  refresh(item) {
    const row = this.rows.get(item.place);
    if (row) this.paint(row, item);
    if (item.state !== "sending") return;
    this.led = Math.max(this.led, item.place);
    this.lead();
  }

  /** Rows are of one height, which the style sheet says for this width of the window. */
  measure() {
    this.height = Number.parseFloat(getComputedStyle(this.box).getPropertyValue("--row-height"));
    this.list.style.height = `${this.height * this.items.length}px`;
    for (const [place, row] of this.rows) this.put(row, place);
    this.draw();
    this.lead();
  }

  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - BEYOND);
    const shown = Math.ceil(this.box.clientHeight / this.height) + 2 * BEYOND;
    const last = Math.min(this.items.length, first + shown);
    for (const [place, row] of this.rows) {
      if (place >= first && place < last) continue;
      row.remove();
      this.rows.delete(place);
    }
    let next = null; // in the order of the files, for those who have the page read out
    for (let place = last - 1; place >= first; place -= 1) {
      let row = this.rows.get(place);
      if (!row) {
        row = this.row(this.items[place]);
        this.put(row, place);
        this.list.insertBefore(row, next);
        this.rows.set(place, row);
      }
      next = row;
    }
  }

  /** What is being sent stays in sight: a new pageful when it has reached the lower edge. */
  lead() {
    if (!this.follows) return;
    const top = this.led * this.height;
    const { scrollTop, clientHeight } = this.box;
    if (top >= scrollTop && top + this.height <= scrollTop + clientHeight) return;
    this.box.scrollTop = top - this.height;
  }

  put(row, place) {
    row.style.transform = `translateY(${place * this.height}px)`;
  }

  row(item) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    const name = row.querySelector(".sending-name");
    name.textContent = name.title = item.path;
    row.querySelector(".sending-size").textContent = sizeWords(item.size);
    row.setAttribute("aria-posinset", item.place + 1);
    row.setAttribute("aria-setsize", this.items.length);
    this.paint(row, item);
    return row;
  }

  paint(row, item) {
    row.dataset.state = item.state;
    row.querySelector("progress").value = item.size ? item.sent / item.size : Number(item.sent > 0);
    const said = row.querySelector(".sending-said");
    const link = said.firstElementChild;
    if (item.study && link?.getAttribute("href") !== item.study) {
      const study = document.createElement("a");
      Object.assign(study, { href: item.study, target: "_blank", textContent: item.said });
      said.replaceChildren(study);
    } else if (!item.study) {
      said.textContent = item.said;
    }
  }
}

/** The sentences of files that were not taken, above the list; the submission's page has them all. */
export class Troubles {
  /** @param {HTMLElement} list @param {(count: number) => string} more  words for those left out */
  constructor(list, more) {
    this.list = list;
    this.more = more;
    /** @type {Map<object, string>} */
    this.sentences = new Map();
  }

  /** What there is to say of this file now; nothing if empty. */
  note(item, sentence) {
    if (this.sentences.get(item) === (sentence || undefined)) return;
    if (sentence) this.sentences.set(item, sentence);
    else this.sentences.delete(item);
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const sentences = [...this.sentences.values()];
    const left = sentences.length - TROUBLES;
    const lines = sentences.slice(0, TROUBLES).concat(left > 0 ? [this.more(left)] : []);
    this.list.hidden = !lines.length;
    this.list.replaceChildren(
      ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
    );
  }
}
