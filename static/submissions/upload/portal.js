// What the uploader asks of the portal: a submission, one request a file, an end.

export class SignedOut extends Error {}

export class Portal {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
    this.token = form.elements.csrfmiddlewaretoken.value;
    /** Where the submission takes files, ends, and is shown; null while there is none. */
    this.addresses = null;
  }

  /**
   * Make a submission.
   * @param {{expected: number, grouping: string, continues: string}} wanted  `continues`: the id of one that
   *   was ended before all files had come, so that its folders stay together
   */
  async open({ expected, grouping, continues }) {
    const body = new URLSearchParams({ expected_files: expected, grouping, continues });
    const ask = () => this.fetch(this.form.dataset.submissions, body);
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

  /**
   * Send one file; `item.request` can be aborted. Status 0: no answer.
   * @param {object} item  of queue.js
   * @param {(share: number) => void} progressed  0 to 1
   * @returns {Promise<{status: number, told: any}>}
   */
  post(item, progressed) {
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
        if (event.lengthComputable) progressed(event.loaded / event.total);
      });
      request.addEventListener("loadend", () => resolve({ status: request.status, told: request.response }));
      request.send(body);
    });
  }

  /**
   * Finish or cancel a submission; again is harmless.
   * @param {string} address
   * @returns {Promise<string>}  the state it is in then, empty where the portal did not answer
   */
  async end(address) {
    try {
      const answer = await this.fetch(address);
      return answer.ok ? (await answer.json()).state : "";
    } catch {
      return "";
    }
  }

  fetch(address, body) {
    const headers = { Accept: "application/json", "X-CSRFToken": this.token };
    return fetch(address, { method: "POST", body, headers });
  }
}
