/** Words and figures around the picture: corner figures, colour scale, announcements, problems. */

/** @import { Lightbox, Heat } from "./lightbox.js" */

import { findElement, requireElement } from "../../shared/dom.js";
import { fill } from "../../shared/format.js";
import { colours } from "./colours.js";
import { visibility } from "./heatmap.js";

/** Texts come from `data-text-*` of the template; `{name}` stands for a value. */
export class Readout {
  #drawnScale = "";

  /** @param {HTMLElement} figure */
  constructor(figure) {
    this.texts = requireElement(figure, ".viewer-texts", HTMLElement).dataset;
    this.pose = requireElement(figure, "[data-show=pose]", HTMLElement);
    this.figures = requireElement(figure, "[data-show=figures]", HTMLElement);
    /** Only where there is a heatmap. */
    this.scale = findElement(figure, "[data-show=scale]", HTMLCanvasElement);
    this.status = requireElement(figure, ".viewer-status", HTMLElement);
    this.problem = requireElement(figure, ".viewer-problem", HTMLElement);
  }

  /**
   * Tell people who do not see the picture.
   * @param {string} name of a text
   * @param {Record<string, string | number>} [values]
   */
  announce(name, values = {}) {
    this.status.textContent = this.#text(name, values);
  }

  /**
   * Show what went wrong and what to do; the cause goes to the console.
   * @param {string} name of a text
   * @param {unknown} cause
   */
  showProblem(name, cause) {
    console.error(cause);
    this.problem.textContent = this.#text(name);
    this.problem.dataset.name = name;
    this.problem.hidden = false;
  }

  /** It went well after all. @param {string} name of a text */
  clearProblem(name) {
    if (this.problem.dataset.name === name) this.problem.hidden = true;
  }

  hideProblem() {
    this.problem.hidden = true;
  }

  /** @param {Lightbox} lightbox */
  update({ view, greys, heat, heatmap, mode }) {
    // A turned or mirrored radiograph must say so: which side of the body is which depends on it.
    const pose = [
      mode === "region" && this.#text("regionHint"),
      view.mirrored && this.#text("mirrored"),
      view.turns && this.#text("turned", { value: view.turns * 90 }),
      greys.inverted && this.#text("inverted"),
    ];
    setText(this.pose, pose.filter(Boolean).join(" · "));
    const figures = this.#text("figures", {
      zoom: Math.round(view.scale * window.devicePixelRatio * 100),
      ...greys.figures(),
    });
    setText(this.figures, figures);
    if (heatmap && heat.shown && this.scale) this.#drawScale(this.scale, heat);
  }

  /** @param {HTMLCanvasElement} canvas @param {Heat} heat */
  #drawScale(canvas, { colours: map, threshold, opacity }) {
    const key = `${map} ${threshold} ${opacity}`;
    const context = canvas.getContext("2d");
    if (key === this.#drawnScale || !context) return;
    const lut = colours(map);
    const pixels = context.createImageData(canvas.width, 1);
    for (let x = 0; x < pixels.width; x += 1) {
      const value = x / (pixels.width - 1);
      const index = Math.round(value * 255) * 3;
      pixels.data.set(lut.subarray(index, index + 3), x * 4);
      pixels.data[x * 4 + 3] = Math.round(255 * visibility(value, threshold) * (0.4 + 0.6 * opacity));
    }
    for (let y = 0; y < canvas.height; y += 1) context.putImageData(pixels, 0, y);
    this.#drawnScale = key;
  }

  /** @param {string} name @param {Record<string, string | number>} [values] */
  #text(name, values = {}) {
    return fill(this.texts[`text${name[0].toUpperCase()}${name.slice(1)}`] ?? "", values);
  }
}

/**
 * Set a text where it differs, so that the page is left alone otherwise.
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
