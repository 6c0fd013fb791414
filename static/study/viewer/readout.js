/** The words and figures around the picture: corner figures, colour scale, what is said aloud, problems. */

import { colours } from "./colours.js";
import { visibility } from "./heatmap.js";

/** Texts come from `data-text-*` of the figure; `{name}` stands for a value. */
export class Readout {
  #scale = "";

  /** @param {HTMLElement} figure */
  constructor(figure) {
    this.texts = figure.dataset;
    this.pose = figure.querySelector("[data-show=pose]");
    this.figures = figure.querySelector("[data-show=figures]");
    this.scale = figure.querySelector("[data-show=scale]");
    this.said = figure.querySelector(".viewer-said");
    this.problem = figure.querySelector(".viewer-problem");
  }

  /** Tell people who do not see the picture. @param {string} name of a text */
  say(name, values = {}) {
    this.said.textContent = this.#text(name, values);
  }

  /** Show what went wrong and what to do; the cause goes to the console. */
  complain(name, cause) {
    console.error(cause);
    this.problem.textContent = this.#text(name);
    this.problem.hidden = false;
  }

  /** @param {Lightbox} lightbox */
  update({ view, greys, heat, heatmap, mode }) {
    // A turned or mirrored radiograph must say so: the side of the body hangs on it.
    write(this.pose, [
      mode === "region" && this.#text("regionHint"),
      view.mirrored && this.#text("mirrored"),
      view.turns && this.#text("turned", { value: view.turns * 90 }),
      greys.inverted && this.#text("inverted"),
    ].filter(Boolean).join(" · "));
    write(this.figures, this.#text("figures", {
      zoom: Math.round(view.scale * window.devicePixelRatio * 100),
      width: Math.round(greys.width),
      level: Math.round(greys.level),
    }));
    if (heatmap && heat.shown) this.#drawScale(heat);
  }

  #drawScale({ colours: map, threshold, opacity }) {
    const wanted = `${map} ${threshold} ${opacity}`;
    if (wanted === this.#scale) return;
    const table = colours(map);
    const context = this.scale.getContext("2d");
    const pixels = context.createImageData(this.scale.width, 1);
    for (let x = 0; x < pixels.width; x += 1) {
      const value = x / (pixels.width - 1);
      const colour = Math.round(value * 255) * 3;
      pixels.data.set(table.subarray(colour, colour + 3), x * 4);
      pixels.data[x * 4 + 3] = Math.round(255 * visibility(value, threshold) * (0.4 + 0.6 * opacity));
    }
    for (let y = 0; y < this.scale.height; y += 1) context.putImageData(pixels, 0, y);
    this.#scale = wanted;
  }

  #text(name, values = {}) {
    const text = this.texts[`text${name[0].toUpperCase()}${name.slice(1)}`];
    return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  }
}

/** Only what changed touches the page. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
