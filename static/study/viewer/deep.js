/** The picture at its stored depth: loaded when a person first changes the window, and kept. */

/** @import { Scale } from "./greys.js" */
/** @import { Picture16 } from "./png16.js" */

import { decodePng16 } from "./png16.js";

/** @typedef {Picture16 & {scale: Scale}} Deep */

export class DeepSource {
  /** @type {Promise<Deep> | null} */
  #loading = null;

  /**
   * @param {string} url of a grey PNG of 16 bits
   * @param {Scale} scale what its numbers mean
   */
  constructor(url, scale) {
    this.url = url;
    this.scale = scale;
  }

  /** The same picture however often it is asked for; after a failure the next call tries again. */
  load() {
    this.#loading ??= this.#fetch().catch((error) => {
      this.#loading = null;
      throw error;
    });
    return this.#loading;
  }

  /** @returns {Promise<Deep>} */
  async #fetch() {
    const response = await fetch(this.url, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`The stored depth answered ${response.status}`);
    const picture = await decodePng16(new Uint8Array(await response.arrayBuffer()));
    return { ...picture, scale: this.scale };
  }
}
