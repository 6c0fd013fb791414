/** The place where a viewer draws: the picture's surface, and over it a canvas for everything else. */

/** @import { Lightbox } from "./lightbox.js" */
/** @import { Deep } from "./deep.js" */
/** @import { Surface } from "./picture.js" */
/** @import { Matrix } from "./view.js" */

import { takePicture } from "./ahead.js";
import { cross, strokeWithHalo, ticks } from "./lines.js";
import { createSurface } from "./picture.js";

/** How opaque the fill of an outline is, as a share of the heatmap's opacity: the cortex stays to be judged. */
const FILL = 0.25;
/** CSS pixels of a mark at the weakest evidence; at full evidence it has three times as many. */
const TICK = 6;

export class Stage {
  #frame = 0;
  #url = "";
  /** Whether the next frame draws the marks, too. */
  #hasNewMarks = false;
  #resizes = new ResizeObserver(() => this.invalidate());

  /**
   * @param {HTMLElement} element
   * @param {HTMLImageElement} image the radiograph as the page shows it without JavaScript
   * @param {Lightbox} viewer its state is drawn
   */
  constructor(element, image, viewer) {
    this.element = element;
    this.image = image;
    this.viewer = viewer;
    /** @type {Surface | null} null until the picture is decoded */
    this.surface = null;
    /** @type {Deep | null} in place of the display picture, as soon as it is there */
    this.deep = null;
    this.overlay = document.createElement("canvas");
    this.overlay.className = "viewer-marks";
    this.overlay.setAttribute("aria-hidden", "true");
  }

  /**
   * Show the picture of an address, unless another one is asked for meanwhile.
   * @param {string} url
   * @returns {Promise<boolean>} whether it is shown
   * @throws {Error} when the picture cannot be loaded or decoded
   */
  async show(url) {
    this.#url = url;
    const bitmap = await takePicture(url);
    if (this.#url !== url) {
      bitmap.close();
      return false;
    }
    this.deep = null;
    this.#show(createSurface(bitmap, this.viewer.view.picture, true));
    if (!this.overlay.isConnected) {
      this.element.append(this.overlay);
      this.#resizes.observe(this.element);
    }
    return true;
  }

  close() {
    this.#resizes.disconnect();
    cancelAnimationFrame(this.#frame);
    this.surface?.dispose();
  }

  get isDeep() {
    return this.deep !== null;
  }

  /** Go on with the picture at its stored depth. @param {Deep} deep */
  deepen(deep) {
    if (!this.surface || this.deep || !this.element.isConnected) return;
    this.deep = deep;
    this.#show(createSurface(deep, this.viewer.view.picture, true));
    this.draw();
    this.viewer.figure.dataset.deep = "";
  }

  /** Draw once before the next frame, however often this is called. Before `open` there is nothing to draw. */
  invalidate() {
    this.#hasNewMarks = true;
    this.invalidateGreys();
  }

  /** The same for a change of the window, which leaves heatmap and marks as they are. */
  invalidateGreys() {
    if (this.surface && !this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  draw() {
    this.#hasNewMarks = true;
    this.#draw();
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { view, greys } = this.viewer;
    const context = this.overlay.getContext("2d");
    if (!this.surface || !context) return;
    const ratio = this.#resize(this.surface);
    if (!ratio) return;
    const { a, b, c, d, e, f } = view.matrix;
    const onCanvas = { a: a * ratio, b: b * ratio, c: c * ratio, d: d * ratio, e: e * ratio, f: f * ratio };
    this.surface.draw(onCanvas, this.deep ? greys.onDepth() : greys.onDisplay());
    if (this.#hasNewMarks) this.#drawMarks(context, onCanvas, ratio);
    this.viewer.onDrawn();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Matrix} onCanvas picture pixels to canvas pixels
   * @param {number} ratio canvas pixels per CSS pixel
   */
  #drawMarks(context, onCanvas, ratio) {
    const { view } = this.viewer;
    this.#hasNewMarks = false;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    if (this.viewer.bare) return;
    this.#drawEvidence(context, onCanvas, ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.viewer.regions.draw(context, view);
    this.viewer.ruler.draw(context, view);
    this.viewer.angles.draw(context, view);
    const cursor = this.viewer.crosshair.at;
    if (cursor) {
      const at = view.toScreen(cursor.x, cursor.y);
      strokeWithHalo(context, cross(at.x, at.y), 1.5);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Matrix} matrix picture pixels to canvas pixels
   * @param {number} ratio canvas pixels per CSS pixel
   */
  #drawEvidence(context, { a, b, c, d, e, f }, ratio) {
    const { heatmap, heat, view, peak } = this.viewer;
    if (!heatmap || !heat.shown) return;
    const { width, height } = view.picture;
    const outline = heatmap.outline(heat.threshold);
    context.setTransform(a, b, c, d, e, f);
    if (!heat.outline) {
      context.imageSmoothingQuality = "high";
      context.globalAlpha = heat.opacity;
      context.drawImage(heatmap.coloured(heat.colours, heat.threshold), 0, 0, width, height);
    } else if (outline) {
      context.globalAlpha = heat.opacity * FILL;
      context.fillStyle = heatmap.colour(heat.colours);
      context.fill(outline.path, "evenodd");
    }
    context.globalAlpha = 1;
    const line = 1 + heatmap.strength;
    if (heat.outline && outline) strokeWithHalo(context, outline.path, line / view.scale);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (heat.ticks && outline && peak) {
      const length = TICK * (1 + 2 * heatmap.strength);
      strokeWithHalo(context, ticks(view, peak, heatmap.reach(outline, peak), length), line);
    }
  }

  /** Put a surface's canvas over the page's picture, in place of the one before. @param {Surface} surface */
  #show(surface) {
    const before = this.surface;
    this.surface = surface;
    const { canvas } = surface;
    canvas.className = "viewer-radiograph";
    canvas.setAttribute("aria-hidden", "true");
    canvas.addEventListener("webglcontextlost", () => this.#replace(canvas), { once: true });
    this.image.after(canvas);
    before?.canvas.remove();
    before?.dispose();
  }

  /** The graphics card took its memory back: go on without it. @param {HTMLCanvasElement} canvas */
  async #replace(canvas) {
    if (!this.element.isConnected || this.surface?.canvas !== canvas) return;
    const url = this.#url;
    const source = this.deep ?? (await takePicture(url));
    if (this.#url !== url || this.surface.canvas !== canvas) return;
    this.#show(createSurface(source, this.viewer.view.picture, false));
    this.draw();
  }

  /**
   * Fit the canvases to the stage and the screen.
   * @param {Surface} surface
   * @returns {number} canvas pixels per CSS pixel, 0 while the stage is hidden
   */
  #resize(surface) {
    const { clientWidth, clientHeight } = this.element;
    if (!clientWidth || !clientHeight) return 0;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(clientWidth * ratio);
    const height = Math.round(clientHeight * ratio);
    for (const canvas of [surface.canvas, this.overlay]) {
      if (canvas.width === width && canvas.height === height) continue;
      canvas.width = width;
      canvas.height = height;
      this.#hasNewMarks = true; // a canvas of another size is empty
    }
    const { stage } = this.viewer.view;
    if (stage.width !== clientWidth || stage.height !== clientHeight) {
      this.viewer.view.resize(clientWidth, clientHeight);
    }
    return ratio;
  }
}
