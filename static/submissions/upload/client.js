// The requests of the uploader: open a submission, send one file each, finish or cancel.

/** @import { Item } from "./items.js" */

import { fetchToken, SignedOutError } from "../../shared/csrf.js";
import { requireElement } from "../../shared/dom.js";

/**
 * An open submission: its id, and where it takes files, ends, and is shown.
 * @typedef {{id: string, uploads: string, finish: string, cancel: string, page: string}} Submission
 */

/**
 * The portal's answer to one file. `sentence` says why it was refused; `study` is the address of the study that a
 * duplicate belongs to.
 * @typedef {{outcome: "accepted" | "duplicate" | "applied" | "rejected", sentence: string,
 *   study: string | null}} Stored
 */

export class SubmissionClient {
  /** @param {HTMLFormElement} form of templates/submissions/_uploader.html */
  constructor(form) {
    this.form = form;
    this.token = requireElement(form, "[name=csrfmiddlewaretoken]", HTMLInputElement).value;
    /** @type {Record<string, string>} what the person said of all files: `patient_reference`, `body_part` */
    this.details = {};
    /** @type {Submission | null} null while none is open */
    this.submission = null;
  }

  /**
   * Open a submission.
   * @param {{expected: number, grouping: string, continues: string}} options `expected` is the number of files;
   *   `continues` the id of a submission that was closed before all files had come, so that its folders stay together
   * @throws {SignedOutError}
   * @throws {Error} with the portal's sentence where it refuses, or without where it does not answer
   */
  async open({ expected, grouping, continues }) {
    const body = new URLSearchParams({ expected_files: String(expected), grouping, continues });
    const post = () => this.#post(this.form.dataset.submissions ?? "", body);
    let response = await post();
    if (response.status === 403) {
      await this.renewToken();
      response = await post();
    }
    if (response.status === 401) throw new SignedOutError();
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.sentence);
    this.submission = answer;
  }

  /** @throws {SignedOutError} */
  async renewToken() {
    this.token = (await fetchToken(this.form.action)) ?? this.token;
  }

  /**
   * Send one file; `item.request` can be aborted. A file that this page refuses is sent as its refusal, so that
   * the submission lists it.
   * @param {Submission} submission
   * @param {Item} item
   * @param {(share: number) => void} onProgress 0 to 1
   * @returns {Promise<{status: number, answer: Stored | null}>} status 0 where there was no answer
   */
  send(submission, item, onProgress) {
    return new Promise((resolve) => {
      const body = new FormData();
      body.append("key", item.key);
      body.append("path", item.path);
      body.append("size", String(item.size));
      for (const [name, value] of Object.entries(this.details)) body.append(name, value);
      if (item.refusal) body.append("refusal", item.refusal);
      else if (item.file) body.append("file", item.file, item.file.name);
      const request = new XMLHttpRequest();
      item.request = request;
      request.open("POST", submission.uploads);
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("X-CSRFToken", this.token);
      request.responseType = "json";
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) onProgress(event.loaded / event.total);
      });
      request.addEventListener("loadend", () =>
        resolve({ status: request.status, answer: request.response }),
      );
      request.send(body);
    });
  }

  /**
   * Finish or cancel a submission; doing it twice is harmless.
   * @param {string} address
   * @returns {Promise<{state: string, page: string}>} the state it is in then, and where to look on; both empty where
   *   the portal did not answer
   */
  async end(address) {
    try {
      const response = await this.#post(address);
      if (response.ok) return await response.json();
    } catch {
      // no answer
    }
    return { state: "", page: "" };
  }

  /** @param {string} address @param {URLSearchParams} [body] */
  #post(address, body) {
    const headers = { Accept: "application/json", "X-CSRFToken": this.token };
    return fetch(address, { method: "POST", body, headers });
  }
}
