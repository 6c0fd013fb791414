// Sends files one request each, a few at a time, and keeps at it: a file has one key, so sending it again is
// harmless. Without this script the form of templates/studies/_uploader.html posts its files as they are.
(() => {
  "use strict";

  const AT_ONCE = 4;
  const TRIES = 6;
  const FIRST_WAIT = 1; // seconds, doubled each time
  const JUNK = new Set(["thumbs.db", "desktop.ini", "dicomdir"]);
  const ENDED = new Set(["accepted", "duplicate", "read", "rejected", "unsent"]);

  const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

  class SignedOut extends Error {}

  /** Replace `{name}` and the like. */
  function fill(sentence, values) {
    return sentence.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
  }

  function sizeWords(bytes) {
    return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  }

  /** A file with its place in the folder it was chosen or dropped with. */
  const placed = (file, path = file.webkitRelativePath || file.name) => ({ file, path });

  const isTable = (name) => name.toLowerCase().endsWith(".csv");
  const isArchive = (name) => name.toLowerCase().endsWith(".zip");

  /** Every file of what was dropped with its path, folders walked. */
  async function droppedFiles(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return [...transfer.files].map((file) => placed(file));
    const found = [];
    async function walk(entry) {
      if (entry.isFile) {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
        found.push(placed(file, entry.fullPath.replace(/^\//, "")));
        return;
      }
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) return;
        for (const child of some) await walk(child);
      }
    }
    for (const entry of entries) await walk(entry);
    return found;
  }

  class Uploader {
    constructor(form) {
      this.form = form;
      this.words = JSON.parse(form.querySelector("script[type='application/json']").textContent);
      this.token = form.elements.csrfmiddlewaretoken.value;
      this.limit = Number(form.dataset.limit);
      this.archive = { ...JSON.parse(form.dataset.archive), maxFileBytes: this.limit };
      this.items = [];
      this.addresses = null;
      this.starting = null;
      this.active = 0;
      this.opening = 0;
      this.paused = false;
      this.over = false;
      this.part = (name) => form.querySelector(`[data-${name}]`);
      this.listen();
    }

    listen() {
      for (const input of this.form.querySelectorAll("[data-choose]")) {
        const take = () => {
          this.add([...input.files].map((file) => placed(file)));
          input.value = "";
        };
        input.addEventListener("change", take);
        if (input.files.length) take(); // chosen while this script was still on its way
      }
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.part("pause").addEventListener("click", () => this.pause(!this.paused));
      this.part("cancel").addEventListener("click", () => this.cancel());
      this.part("again").addEventListener("click", () => this.sendAgain());
      this.part("finish").addEventListener("click", () => this.finish());
      addEventListener("beforeunload", (event) => {
        if (this.items.length && !this.over) event.preventDefault();
      });
    }

    async add(chosen) {
      const wanted = chosen.filter(({ file }) => !file.name.startsWith(".") && !JUNK.has(file.name.toLowerCase()));
      if (!wanted.length) {
        if (chosen.length) this.tell(this.words.nothing);
        return;
      }
      this.tell("");
      this.opening += 1;
      const files = (await Promise.all(wanted.map((one) => this.unpacked(one)))).flat();
      this.opening -= 1;
      this.over = false;
      this.form.classList.add("uploader-busy");
      this.part("sending").hidden = false;
      const rows = document.createDocumentFragment();
      for (const { file, path, size = file.size, refusal = "", read } of files) {
        const row = this.part("row").content.firstElementChild.cloneNode(true);
        row.querySelector(".sending-name").textContent = path;
        row.querySelector(".sending-size").textContent = sizeWords(size);
        const item = { file, path, size, read, row, key: crypto.randomUUID(), state: "waiting", sent: 0 };
        item.refusal = refusal || (size > this.limit ? "too-large" : "");
        this.items.push(item);
        this.mark(item, "waiting", this.words.waiting);
        rows.append(row);
      }
      this.part("files").append(rows);
      this.begun ??= performance.now();
      this.show();
      this.pump();
    }

    /** What is inside an archive, each with a `read` of its own; anything else as it is. */
    async unpacked(one) {
      if (!isArchive(one.file.name)) return [one];
      const { unzip, UnzipError } = await import(this.form.dataset.unzip);
      const folder = one.path.slice(0, -".zip".length);
      try {
        const members = await unzip(one.file, this.archive);
        return members.map((member) => ({ ...member, file: one.file, path: `${folder}/${member.path}` }));
      } catch (error) {
        if (!(error instanceof UnzipError)) throw error;
        return [{ ...one, refusal: error.code }];
      }
    }

    // --- sending ---

    /** Open the submission on the server, once, however many files wait for it. */
    start() {
      this.starting ??= this.open().catch((error) => {
        this.starting = null;
        throw error;
      });
      return this.starting;
    }

    async open() {
      const grouping = this.form.elements.grouping.value;
      const body = new URLSearchParams({ expected_files: this.items.length, grouping });
      const ask = () =>
        fetch(this.form.dataset.submissions, {
          method: "POST",
          body,
          headers: { Accept: "application/json", "X-CSRFToken": this.token },
        });
      let answer = await ask();
      if (answer.status === 403) {
        await this.renewToken();
        answer = await ask();
      }
      if (answer.status === 401) throw new SignedOut();
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.sentence);
      this.addresses = told;
    }

    /** Signing in again, in another tab, made the page's token void: take one from a fresh page. */
    async renewToken() {
      const answer = await fetch(this.form.action, { headers: { Accept: "text/html" } });
      if (new URL(answer.url).pathname !== new URL(this.form.action).pathname) throw new SignedOut();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      this.token = page.querySelector("[name='csrfmiddlewaretoken']")?.value ?? this.token;
    }

    async pump() {
      try {
        await this.start();
      } catch (error) {
        this.pause(true);
        this.tell(error instanceof SignedOut ? this.words.signed_out : this.words.no_start);
        return;
      }
      while (!this.paused && !this.over && this.active < AT_ONCE) {
        const item = this.next();
        if (!item) break;
        this.send(item);
      }
      if (!this.opening && this.items.every(({ state }) => ENDED.has(state))) this.settle();
    }

    /** Tables first and alone: what they say holds for the pictures that follow. */
    next() {
      const open = this.items.filter(({ state }) => state === "waiting" || state === "sending");
      const tables = open.filter(({ path }) => isTable(path));
      return (tables.length ? tables : open).find(({ state }) => state === "waiting");
    }

    async send(item) {
      this.active += 1;
      this.mark(item, "sending", fill(this.words.sending, { percent: 0 }));
      try {
        await this.takeOut(item);
        await this.sendPatiently(item);
      } finally {
        this.active -= 1;
        item.request = null;
        this.show();
      }
      this.pump();
    }

    /** Take a member out of its archive just before it is sent, and not before: there may be thousands. */
    async takeOut(item) {
      if (!item.read || item.refusal) return;
      try {
        item.file = await item.read();
      } catch {
        item.refusal = "member-damaged";
      }
      item.read = null;
    }

    /** Try until there is an answer: the network and a restarting portal are forgiven, a refusal is not. */
    async sendPatiently(item) {
      const run = (item.run = {});
      const stopped = () => item.run !== run || item.state === "waiting" || this.over; // paused or cancelled
      let renewed = false;
      for (let attempt = 1; ; attempt += 1) {
        let { status, told } = await this.post(item);
        if (stopped()) return;
        if (status === 403 && !renewed) {
          renewed = true;
          status = await this.renewToken().then(() => 0, (error) => (error instanceof SignedOut ? 401 : 0));
          if (stopped()) return;
        }
        if (status === 200 || status === 201) {
          item.study = told.study;
          this.mark(item, told.outcome, told.sentence || this.words[told.outcome] || told.outcome);
          return;
        }
        if (status === 401) {
          this.mark(item, "waiting", this.words.waiting);
          this.pause(true);
          this.tell(this.words.signed_out);
          return;
        }
        const forgiven = status === 0 || status === 429 || status >= 500;
        if (!forgiven) {
          const sentence = told?.sentence ?? fill(this.words.refused, { name: item.path, code: status });
          this.mark(item, "rejected", sentence);
          return;
        }
        if (status === 0 && !item.refusal && !(await this.canRead(item.file))) {
          this.mark(item, "rejected", fill(this.words.unreadable, { name: item.path }));
          return;
        }
        if (attempt === TRIES) {
          this.mark(item, "unsent", this.words.unsent);
          return;
        }
        const seconds = FIRST_WAIT * 2 ** (attempt - 1);
        this.mark(item, "sending", fill(this.words.again, { seconds }));
        await sleep(seconds * (0.75 + Math.random() / 2));
        if (stopped()) return;
      }
    }

    /** A file that was moved or changed since it was chosen fails like a broken network does. */
    async canRead(file) {
      try {
        await file.slice(0, 1).arrayBuffer();
        return true;
      } catch {
        return false;
      }
    }

    post(item) {
      return new Promise((resolve) => {
        const body = new FormData();
        body.append("key", item.key);
        body.append("path", item.path);
        body.append("size", item.size);
        // What this page refuses the portal is told all the same, so that the submission shows its fate.
        if (item.refusal) body.append("refusal", item.refusal);
        else body.append("file", item.file, item.file.name);
        const request = new XMLHttpRequest();
        item.request = request;
        request.open("POST", this.addresses.uploads);
        request.setRequestHeader("Accept", "application/json");
        request.setRequestHeader("X-CSRFToken", this.token);
        request.responseType = "json";
        request.upload.addEventListener("progress", (event) => {
          if (!event.lengthComputable || item.state !== "sending") return;
          item.sent = (event.loaded / event.total) * item.size;
          const percent = Math.floor((event.loaded / event.total) * 100);
          this.mark(item, "sending", percent < 100 ? fill(this.words.sending, { percent }) : this.words.storing);
          this.showSoon();
        });
        request.addEventListener("loadend", () => resolve({ status: request.status, told: request.response }));
        request.send(body);
      });
    }

    // --- what the person asks for ---

    pause(paused) {
      this.paused = paused;
      const button = this.part("pause");
      button.querySelector("span").textContent = paused ? this.words.resume : this.words.pause;
      button.setAttribute("aria-pressed", String(paused));
      if (paused) {
        for (const item of this.items.filter(({ state }) => state === "sending")) {
          item.sent = 0;
          this.mark(item, "waiting", this.words.waiting);
          item.request?.abort();
        }
      } else {
        this.tell("");
        this.pump();
      }
      this.show();
    }

    async cancel() {
      this.over = true;
      for (const item of this.items) item.request?.abort();
      if (!this.addresses) {
        location.reload();
        return;
      }
      await this.postTo(this.addresses.cancel);
      location.assign(this.addresses.page);
    }

    sendAgain() {
      for (const item of this.items.filter(({ state }) => state === "unsent")) {
        item.sent = 0;
        this.mark(item, "waiting", this.words.waiting);
      }
      this.part("again").hidden = this.part("finish").hidden = true;
      this.pump();
    }

    /** Every file has its outcome: finish, unless some could not be sent and the person should decide. */
    settle() {
      const unsent = this.items.filter(({ state }) => state === "unsent").length;
      if (!unsent) {
        this.finish();
        return;
      }
      this.part("again").hidden = this.part("finish").hidden = false;
      this.tell(unsent === 1 ? this.words.one_unsent : fill(this.words.some_unsent, { count: unsent }));
    }

    async finish() {
      if (this.over || this.active) return;
      this.over = true;
      this.part("said").textContent = this.words.finishing;
      this.part("left").textContent = "";
      for (let attempt = 1; attempt <= TRIES; attempt += 1) {
        if (await this.postTo(this.addresses.finish)) break;
        await sleep(FIRST_WAIT * 2 ** (attempt - 1));
      }
      // Unfinished after all tries: the page has a button for it, and the portal ends it by itself after a while.
      location.assign(this.addresses.page);
    }

    async postTo(address) {
      try {
        const headers = { Accept: "application/json", "X-CSRFToken": this.token };
        return (await fetch(address, { method: "POST", headers })).ok;
      } catch {
        return false;
      }
    }

    // --- what the person sees ---

    mark(item, state, words) {
      item.state = state;
      item.row.dataset.state = state;
      item.row.querySelector(".sending-said").textContent = words;
      if (ENDED.has(state)) {
        item.sent = item.size;
        if (state !== "unsent") item.file = null; // lets the browser forget a member that was unpacked
      }
      item.row.querySelector("progress").value = item.size ? item.sent / item.size : Number(item.sent > 0);
    }

    showSoon() {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.show();
      });
    }

    show() {
      if (this.over) return;
      const total = this.items.length;
      const done = this.items.filter(({ state }) => ENDED.has(state)).length;
      const size = this.items.reduce((sum, item) => sum + item.size, 0);
      const sent = this.items.reduce((sum, item) => sum + item.sent, 0);
      const bar = this.part("total");
      bar.max = size || 1;
      bar.value = sent;
      const values = { done, total, sent: sizeWords(sent), size: sizeWords(size) };
      this.part("said").textContent = fill(this.paused ? this.words.paused : this.words.progress, values);
      this.part("left").textContent = this.paused ? "" : this.timeLeft(sent, size);
    }

    timeLeft(sent, size) {
      const seconds = (performance.now() - this.begun) / 1000;
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
    addEventListener("drop", async (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      over(false);
      const files = droppedFiles(event.dataTransfer); // before any await: the transfer empties after the event
      if (sheet && !sheet.open) sheet.showModal();
      uploader.add(await files);
    });

    document.querySelector("[data-opens-uploader]")?.addEventListener("click", (event) => {
      if (!sheet || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      sheet.showModal();
    });
    // Closing the sheet by Escape would leave a sending nobody sees.
    sheet?.addEventListener("cancel", (event) => {
      if (uploader.items.length && !uploader.over) event.preventDefault();
    });
  });
})();
