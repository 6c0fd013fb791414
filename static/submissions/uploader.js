// The uploader on its page or sheet: what is chosen or dropped goes to the queue, what the queue tells is shown.
// Without this script the form of templates/submissions/_uploader.html posts its files as they are.

import { FileList, Troubles } from "./upload/list.js";
import { Queue } from "./upload/queue.js";
import { droppedFiles, ordered, placed, sized, unpacked, withoutClutter } from "./upload/sources.js";
import { fill, sizeWords } from "./upload/words.js";

/** @typedef {import("./upload/sources.js").Source} Source */

const SLOW = 300; // ms until a person wonders
const HEARD_EVERY = 10_000; // ms: who listens to the page hears of the progress no more often

class Uploader {
  constructor(form) {
    this.form = form;
    this.words = JSON.parse(form.querySelector("script[type='application/json']").textContent);
    this.archive = { ...JSON.parse(form.dataset.archive), maxFileBytes: Number(form.dataset.limit) };
    this.part = (name) => form.querySelector(`[data-${name}]`);
    this.list = new FileList(this.part("files"), this.part("row"));
    this.troubles = new Troubles(this.part("troubles"), (count) => fill(this.words.more_troubles, { count }));
    this.queue = new Queue(form, this.words, {
      changed: (item) => this.changed(item),
      moved: () => this.showSoon(),
      says: (sentence) => this.tell(sentence),
      settled: (unsent) => this.settle(unsent),
    });
    this.elapsed = 0; // ms of sending, pauses left out
    this.heard = 0;
    this.listen();
  }

  listen() {
    for (const input of this.form.querySelectorAll("[data-choose]")) {
      const take = () => {
        this.look([...input.files].map((file) => placed(file)));
        input.value = "";
      };
      input.addEventListener("change", take);
      if (input.files.length) take(); // chosen while this script was still on its way
    }
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.part("pause").addEventListener("click", () => this.queue.pause(!this.queue.paused));
    this.part("cancel").addEventListener("click", () => this.cancel());
    this.part("again").addEventListener("click", () => this.sendAgain());
    this.part("finish").addEventListener("click", () => this.finish());
    addEventListener("beforeunload", (event) => {
      if (!this.queue.isBusy) return;
      event.preventDefault();
      event.returnValue = true; // older browsers ask only then
    });
  }

  /** Large folders take their time: say so. @param {Source[] | Promise<Source[]>} chosen */
  async look(chosen) {
    const looking = this.part("looking");
    const slow = setTimeout(() => (looking.hidden = false), SLOW);
    try {
      await this.add(await chosen);
    } finally {
      clearTimeout(slow);
      looking.hidden = true;
    }
  }

  /** @param {Source[]} chosen */
  async add(chosen) {
    if (this.queue.over) return; // on the way to the submission's page
    const wanted = withoutClutter(chosen);
    if (!wanted.length) {
      if (chosen.length) this.tell(this.words.nothing);
      return;
    }
    this.tell("");
    const sources = await this.opened(wanted);
    if (!sources.length && !this.queue.items.length) {
      this.tell(this.words.nothing); // an archive of folders only
      return;
    }
    this.form.classList.add("uploader-busy");
    this.form.elements.grouping.disabled = true; // the submission is opened with it
    this.part("sending").hidden = false;
    this.ask(false);
    this.list.add(this.queue.add(sources));
    this.since ??= performance.now();
    this.queue.pump();
  }

  /** In order, archives as what is inside; meanwhile what was chosen before goes on, and does not finish. */
  async opened(chosen) {
    this.queue.opening += 1;
    try {
      const { unzip } = this.form.dataset;
      await sized(chosen);
      const inside = await Promise.all(chosen.map((one) => unpacked(one, unzip, this.archive)));
      return ordered(inside.flat());
    } finally {
      this.queue.opening -= 1;
    }
  }

  async cancel() {
    const page = await this.queue.cancel();
    if (page) location.assign(page);
    else location.reload();
  }

  sendAgain() {
    this.ask(false);
    this.tell("");
    this.queue.sendAgain();
  }

  /** Every file has its outcome: finish, unless some could not be sent and the person should decide. */
  settle(unsent) {
    if (!unsent) {
      this.finish();
      return;
    }
    this.ask(true);
    this.tell(unsent === 1 ? this.words.one_unsent : fill(this.words.some_unsent, { count: unsent }));
  }

  ask(whether) {
    const again = this.queue.items.some(({ state, broken }) => state === "unsent" && !broken);
    this.part("again").hidden = !whether || !again;
    this.part("finish").hidden = !whether;
    this.part("pause").hidden = whether;
  }

  async finish() {
    if (this.queue.over || this.queue.active) return;
    const page = this.queue.finish();
    this.part("said").textContent = this.part("heard").textContent = this.words.finishing;
    this.part("left").textContent = "";
    location.assign(await page);
  }

  // --- what the person sees ---

  changed(item) {
    if (item.place !== undefined) this.list.refresh(item);
    this.troubles.note(item, item.state === "rejected" || item.state === "unsent" ? item.sentence : "");
  }

  showSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (!this.queue.over) this.show();
    });
  }

  show() {
    const { paused, size, sent, done, counts, items } = this.queue;
    this.keepTime(paused);
    const bar = this.part("total");
    bar.max = size || 1;
    bar.value = sent;
    const values = { done, total: items.length, sent: sizeWords(sent), size: sizeWords(size) };
    const said = [fill(paused ? this.words.paused : this.words.progress, values)];
    if (counts.duplicate) said.push(fill(this.words.some_duplicate, { count: counts.duplicate }));
    if (counts.rejected) said.push(fill(this.words.some_rejected, { count: counts.rejected }));
    this.part("said").textContent = said.join(" · ");
    this.part("left").textContent = paused ? "" : this.timeLeft(sent, size);
    this.showPause(paused);
    const now = performance.now();
    if (now - this.heard < HEARD_EVERY && paused === this.wasPaused) return;
    this.heard = now;
    this.wasPaused = paused;
    this.part("heard").textContent = said.join(". ");
  }

  showPause(paused) {
    const button = this.part("pause");
    button.querySelector("span").textContent = paused ? this.words.resume : this.words.pause;
    button.setAttribute("aria-pressed", String(paused));
  }

  keepTime(paused) {
    const now = performance.now();
    if (this.since !== undefined) this.elapsed += now - this.since;
    this.since = paused ? undefined : now;
  }

  timeLeft(sent, size) {
    const seconds = this.elapsed / 1000;
    if (seconds < 3 || sent < size / 100) return "";
    const left = ((size - sent) * seconds) / sent;
    const span =
      left < 60
        ? fill(this.words.seconds, { n: Math.max(5, Math.ceil(left / 5) * 5) })
        : fill(this.words.minutes, { n: Math.round(left / 60) });
    return fill(this.words.left, { span });
  }

  tell(sentence) {
    const problem = this.part("problem");
    problem.textContent = sentence;
    problem.hidden = !sentence;
  }
}

// --- dropping anywhere on the page ---

document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("[data-uploader]");
  if (!form) return;
  const uploader = new Uploader(form);
  const sheet = form.closest("dialog");
  let depth = 0;

  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = (is) => document.body.classList.toggle("uploader-over", is);

  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    over(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) over(false);
  });
  addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    const files = droppedFiles(event.dataTransfer); // before any await: the transfer empties after the event
    if (sheet && !sheet.open) sheet.showModal();
    uploader.look(files);
  });

  document.querySelector("[data-opens-uploader]")?.addEventListener("click", (event) => {
    if (!sheet || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    sheet.showModal();
  });
  // Closing the sheet would leave a sending nobody sees; browsers let a second Escape through.
  for (const name of ["cancel", "close"]) {
    sheet?.addEventListener(name, (event) => {
      if (!uploader.queue.isBusy) return;
      event.preventDefault();
      if (!sheet.open) sheet.showModal();
    });
  }
});
