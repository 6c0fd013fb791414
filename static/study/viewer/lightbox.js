/** One viewer: its state, and everything that a person can do with it. */

import { Heatmap, fetchMap } from "./heatmap.js";
import { Readout } from "./readout.js";
import { listen } from "./input.js";
import { recall, remember } from "./memory.js";
import { WHOLE_RANGE } from "./picture.js";
import { Regions } from "./regions.js";
import { Ruler, readSpacing } from "./ruler.js";
import { Stage } from "./stage.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

const ZOOM_STEP = 1.25;

export class Lightbox {
  /** @param {HTMLElement} figure as templates/study/viewer/_viewer.html lays it out */
  constructor(figure) {
    const { width, height, peakX, peakY, spacing } = figure.dataset;
    this.figure = figure;
    this.view = new View(Number(width), Number(height));
    this.greys = { ...WHOLE_RANGE, inverted: false };
    /** Takes part in the movements of its `data-link`. */
    this.linked = true;
    /** What dragging does: `move`, `window`, `ruler` or, when it was asked for, `region`. */
    this.mode = "move";
    this.heat = { shown: true, ...recall() };
    /** @type {Heatmap | null} */
    this.heatmap = null;
    /** The middle of the peak's pixel. */
    this.peak = peakX ? { x: Number(peakX) + 0.5, y: Number(peakY) + 0.5 } : null;
    this.ruler = new Ruler(readSpacing(spacing), document.documentElement.lang || "en");
    this.regions = new Regions(this.view.picture);
    /** The cross that the keyboard measures and draws with, in picture coordinates. */
    this.cross = null;
    this.crossHolds = null;

    const element = figure.querySelector(".viewer-stage");
    // A page brought back from the browser's history may hold canvases without their contents.
    element.querySelectorAll(".viewer-radiograph, .viewer-marks").forEach((canvas) => canvas.remove());
    this.stage = new Stage(element, element.querySelector(".viewer-picture"), this);
    this.readout = new Readout(figure);
    this.toolbar = new Toolbar(figure, this);
    this.stopListening = listen(element, this);
    figure.addEventListener("fullscreenchange", () => this.toolbar.refresh());
  }

  /** Load picture and map; the plain pictures of the page stay until both can be drawn. */
  async open() {
    const { mapUrl } = this.figure.dataset;
    const map = mapUrl ? fetchMap(mapUrl) : null;
    const [opened, evidence] = await Promise.allSettled([this.stage.open(), map]);
    if (opened.status === "rejected") {
      this.readout.complain("noPicture", opened.reason);
      return;
    }
    if (evidence.status === "rejected") {
      this.readout.complain("noMap", evidence.reason);
    } else if (evidence.value) {
      this.heatmap = new Heatmap(evidence.value, this.view.picture);
    }
    this.toolbar.enable("heat", this.heatmap !== null);
    this.figure.dataset.ready = "";
    this.#changed();
    this.stage.draw();
    this.#tell("viewer:ready");
  }

  close() {
    this.stopListening();
    this.toolbar.close();
    this.stage.close();
  }

  // --- what the toolbar asks for ---------------------------------------------------------------

  /** @param {string} action a `data-action` of the template */
  act(action) {
    const actions = {
      "zoom-in": () => this.zoomBy(ZOOM_STEP),
      "zoom-out": () => this.zoomBy(1 / ZOOM_STEP),
      fit: () => this.#move(() => this.view.fit()),
      actual: () => this.#move(() => this.view.zoomTo(1 / window.devicePixelRatio)),
      rotate: () => this.#move(() => this.view.rotate()),
      mirror: () => this.#move(() => this.view.mirror()),
      reset: () => this.#reset(),
    };
    actions[action]();
  }

  /** @param {string} name a `data-toggle` of the template */
  isOn(name) {
    if (name === "inverted") return this.greys.inverted;
    if (name === "fullscreen") return this.#isFull();
    if (name === "linked") return this.linked;
    if (name === "options") return "options" in this.figure.dataset;
    return this.heat[name];
  }

  /** @param {string} name a `data-toggle` of the template */
  toggle(name) {
    if (name === "inverted") {
      this.greys.inverted = !this.greys.inverted;
    } else if (name === "fullscreen") {
      this.#toggleFull();
    } else if (name === "linked") {
      this.linked = !this.linked;
    } else if (name === "options") {
      this.figure.toggleAttribute("data-options");
    } else {
      this.set(name, !this.heat[name]);
    }
    this.#changed();
  }

  /** @param {string} name a member of `heat` @param {boolean | number | string} value */
  set(name, value) {
    this.heat[name] = value;
    remember(this.heat);
    if (name === "shown") this.readout.say(value ? "shown" : "hidden");
    this.#changed();
  }

  /** @param {string} mode a `data-mode` of the template */
  setMode(mode) {
    this.mode = mode;
    this.dropCross();
    if (mode === "ruler" || mode === "region") this.readout.say(`${mode}Help`);
    this.#changed();
  }

  // --- what the stage asks for -----------------------------------------------------------------

  pan(dx, dy) {
    this.#move(() => this.view.pan(dx, dy));
  }

  zoomBy(factor, x, y) {
    this.#move(() => this.view.zoomBy(factor, x, y));
  }

  /** Between the whole picture and one picture pixel on one screen pixel at a point. */
  fitOrActual({ x, y }) {
    const { view } = this;
    this.#move(() => (view.fitted ? view.zoomTo(1 / window.devicePixelRatio, x, y) : view.fit()));
  }

  /** To the right widens the window (softer), up makes brighter; one grey level a pixel. */
  windowBy(dx, dy) {
    this.greys.width = Math.min(510, Math.max(1, this.greys.width + dx));
    this.greys.level = Math.min(255, Math.max(0, this.greys.level + dy));
    this.stage.invalidate();
  }

  sayWindow() {
    const { width, level } = this.greys;
    this.readout.say("window", { width: Math.round(width), level: Math.round(level) });
  }

  /** A length was measured, or a region drawn. */
  finish() {
    if (this.mode === "region") this.#tellRegion();
    else this.#sayLength();
    this.stage.invalidate();
  }

  /** Let the reader draw one box. */
  askForRegion() {
    this.stage.element.scrollIntoView({ block: "nearest" });
    this.stage.element.focus({ preventScroll: true });
    this.setMode("region");
  }

  /** @param {Region[]} regions of this picture, instead of those before */
  showRegions(regions) {
    this.regions.shown = regions;
    this.stage.invalidate();
  }

  moveCross(dx, dy) {
    const { view } = this;
    const { x, y } = this.cross ?? view.middle();
    const at = view.toScreen(x, y);
    this.cross = view.toPicture(
      Math.min(view.stage.width, Math.max(0, at.x + dx)),
      Math.min(view.stage.height, Math.max(0, at.y + dy)),
    );
    this.crossHolds?.(this.cross);
    this.stage.invalidate();
  }

  /** Enter while measuring or drawing: the first press sets one end, the second the other. */
  setCrossEnd() {
    if (this.crossHolds) {
      this.crossHolds = null;
      this.finish();
      return;
    }
    this.cross ??= this.view.middle();
    this.crossHolds = (this.mode === "region" ? this.regions : this.ruler).start(this.cross);
    this.stage.invalidate();
  }

  dropCross() {
    this.cross = null;
    this.crossHolds = null;
    this.regions.drawn = null;
    this.ruler.dropEmpty();
    this.stage.invalidate();
  }

  eraseLength() {
    this.crossHolds = null;
    if (this.ruler.lines.pop()) this.readout.say("erased");
    this.stage.invalidate();
  }

  /** A linked viewer moved. @param {Pose} pose */
  follow(pose) {
    this.view.adopt(pose);
    this.stage.invalidate();
  }

  /** The stage was drawn: figures and colour scale beside the picture follow. */
  drawn() {
    this.readout.update(this);
    // A fitted picture leaves one-finger scrolling to the page, or a phone could not get past it.
    const scrolls = this.view.fitted && this.mode === "move";
    this.stage.element.style.touchAction = scrolls ? "pan-y" : "none";
  }

  #move(change) {
    change();
    this.stage.invalidate();
    this.#tell("viewer:moved");
  }

  #tell(name, detail = null) {
    this.figure.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }

  #sayLength() {
    const line = this.ruler.lines.at(-1);
    this.ruler.dropEmpty();
    if (this.ruler.lines.includes(line)) this.readout.say("length", { value: this.ruler.length(line) });
  }

  #tellRegion() {
    const box = this.regions.finish(this.view.scale);
    if (!box) return;
    this.setMode("move");
    this.readout.say("regionDrawn", { width: box[2], height: box[3] });
    this.#tell("viewer:box-drawn", { image: this.figure.dataset.image, box });
  }

  #changed() {
    this.figure.dataset.mode = this.mode;
    this.figure.toggleAttribute("data-heat", Boolean(this.heatmap && this.heat.shown));
    this.toolbar.refresh();
    this.stage.invalidate();
  }

  #reset() {
    this.greys = { ...WHOLE_RANGE, inverted: false };
    this.ruler.clear();
    this.mode = "move";
    this.dropCross();
    this.heat.shown = true;
    this.#move(() => this.view.reset());
    this.readout.say("reset");
    this.#changed();
  }

  #isFull() {
    return document.fullscreenElement === this.figure || "full" in this.figure.dataset;
  }

  /** Where the browser has no full screen for elements (iPhone), the viewer fills the page instead. */
  #toggleFull() {
    if (!document.fullscreenEnabled) this.figure.toggleAttribute("data-full");
    else if (this.#isFull()) document.exitFullscreen();
    else this.figure.requestFullscreen();
  }
}
