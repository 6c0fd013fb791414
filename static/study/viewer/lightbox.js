/** One viewer: its state, and everything that a person can do with it. */

/** @import { Marking } from "./crosshair.js" */
/** @import { Preset } from "./greys.js" */
/** @import { Heatmap } from "./heatmap.js" */
/** @import { Region } from "./regions.js" */
/** @import { HeatmapSettings } from "./settings.js" */
/** @import { Point, Pose } from "./view.js" */

import { requireElement } from "../../shared/dom.js";
import { takeHeatmap } from "./ahead.js";
import { Angles } from "./angles.js";
import { Crosshair } from "./crosshair.js";
import { DeepSource } from "./deep.js";
import { Greys, readScale } from "./greys.js";
import { listen } from "./input.js";
import { Readout } from "./readout.js";
import { Regions } from "./regions.js";
import { Ruler, readSpacing } from "./ruler.js";
import { loadSettings, saveSettings } from "./settings.js";
import { Stage } from "./stage.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

/** @typedef {"move" | "window" | "ruler" | "angle" | "region"} Mode what dragging does; `data-mode` of the template */
/** @typedef {"zoom-in" | "zoom-out" | "fit" | "actual" | "rotate" | "mirror" | "reset"} Action `data-action` */
/** @typedef {"shown" | "outline" | "ticks"} HeatToggle */
/** @typedef {HeatToggle | "inverted" | "fullscreen" | "linked" | "options"} Toggle `data-toggle` */
/** @typedef {"window" | "opacity" | "threshold" | "colours"} Setting `data-setting` */
/** @typedef {HeatmapSettings & {shown: boolean}} Heat */

const ZOOM_STEP = 1.25;
/** After so many milliseconds a picture that is not drawn yet is shown as it loads; decoding it twice takes its time. */
const LOADS_LONG = 250;

export class Lightbox {
  /** @param {HTMLElement} figure as templates/study/viewer/_viewer.html lays it out */
  constructor(figure) {
    this.figure = figure;
    this.view = new View(1, 1);
    this.greys = new Greys(readScale(undefined));
    /** @type {DeepSource | null} the picture at its stored depth; null where the display picture holds it whole */
    this.depth = null;
    /** Takes part in the movements of its `data-link`. */
    this.linked = true;
    /** Whether the picture alone is shown, as long as a person holds its key or button. */
    this.bare = false;
    /** @type {Mode} */
    this.mode = "move";
    /** @type {Heat} */
    this.heat = { shown: true, ...loadSettings() };
    /** @type {Heatmap | null} */
    this.heatmap = null;
    /** @type {Point | null} the middle of the hottest pixel, in picture coordinates */
    this.peak = null;
    this.ruler = new Ruler(null, "en");
    this.angles = new Angles(null, "en");
    this.regions = new Regions(this.view.picture);
    /** @type {Partial<Record<Mode, Marking>>} what a mode sets on the picture */
    this.markings = {};
    this.crosshair = new Crosshair(this.view);
    /** Addresses of the picture and the map that are shown or on their way. */
    this.shown = { picture: "", map: "" };
    this.takePicture();

    const element = requireElement(figure, ".viewer-stage", HTMLElement);
    // A page brought back from the browser's history may hold canvases without their contents.
    for (const canvas of element.querySelectorAll(".viewer-radiograph, .viewer-marks")) canvas.remove();
    this.stage = new Stage(element, requireElement(element, ".viewer-picture", HTMLImageElement), this);
    this.readout = new Readout(figure);
    this.toolbar = new Toolbar(figure, this);
    this.stopListening = listen(element, this);
    figure.addEventListener("fullscreenchange", () => this.toolbar.refresh());
  }

  /** Begin with the picture that the figure's attributes tell, as if no other had been there. */
  takePicture() {
    const { width, height, spacing, depth, depthUrl } = this.figure.dataset;
    const { stage } = this.view;
    this.view = new View(Number(width), Number(height));
    this.view.resize(stage.width, stage.height);
    const scale = readScale(depth);
    this.greys = new Greys(scale);
    this.depth = depthUrl ? new DeepSource(depthUrl, scale) : null;
    const language = document.documentElement.lang || "en";
    this.ruler = new Ruler(readSpacing(spacing), language);
    this.angles = new Angles(readSpacing(spacing), language);
    this.regions = new Regions(this.view.picture);
    this.markings = { ruler: this.ruler, angle: this.angles, region: this.regions };
    this.crosshair = new Crosshair(this.view);
  }

  /**
   * Show what the figure's attributes tell now: another picture, or the same one with its map. The plain pictures of
   * the page stay until it can be drawn; nothing of the picture before is seen meanwhile.
   */
  async show() {
    const { displayUrl = "", mapUrl = "", alt = "", heatAlt = "", peakX, peakY } = this.figure.dataset;
    const before = this.shown;
    if (displayUrl === before.picture && mapUrl === before.map) return;
    const shown = { picture: displayUrl, map: mapUrl };
    this.shown = shown;
    const isOther = displayUrl !== before.picture;
    if (isOther && before.picture) this.#leavePicture(displayUrl);
    this.stage.image.alt = [alt, heatAlt].filter(Boolean).join(". ");
    this.heatmap = null;
    this.peak = peakX ? { x: Number(peakX) + 0.5, y: Number(peakY) + 0.5 } : null;
    const [opened, evidence] = await Promise.allSettled([
      isOther ? this.stage.show(displayUrl) : true,
      mapUrl ? takeHeatmap(mapUrl, this.view.picture) : null,
    ]);
    if (this.shown !== shown) return; // yet another picture was asked for
    if (opened.status === "rejected") {
      this.readout.showProblem("noPicture", opened.reason);
      return;
    }
    if (evidence.status === "rejected") this.readout.showProblem("noMap", evidence.reason);
    else this.heatmap = evidence.value;
    this.toolbar.offer("heat", mapUrl !== "", this.heatmap !== null);
    this.figure.dataset.ready = "";
    this.#changed();
    this.stage.draw();
    this.#dispatch("viewer:ready");
  }

  /** The picture before goes out of sight; that of `url` is shown as it loads, if that takes long. @param {string} url */
  #leavePicture(url) {
    this.takePicture();
    this.readout.hideProblem();
    delete this.figure.dataset.ready;
    delete this.figure.dataset.deep;
    this.stage.image.removeAttribute("src");
    setTimeout(() => {
      if (this.shown.picture === url && !("ready" in this.figure.dataset)) this.stage.image.src = url;
    }, LOADS_LONG);
    this.figure.querySelector(".viewer-overlay")?.remove();
  }

  close() {
    this.stopListening();
    this.toolbar.close();
    this.stage.close();
  }

  // --- what the toolbar asks for ---------------------------------------------------------------

  /** @param {Action} action */
  act(action) {
    /** @type {Record<Action, () => void>} */
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

  /** @param {Toggle} name @returns {boolean} */
  isOn(name) {
    if (name === "inverted") return this.greys.inverted;
    if (name === "fullscreen") return this.#isFull();
    if (name === "linked") return this.linked;
    if (name === "options") return "options" in this.figure.dataset;
    return this.heat[name];
  }

  /** @param {Toggle} name */
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

  /** @param {Setting} name @returns {string | number} */
  valueOf(name) {
    return name === "window" ? this.greys.preset : this.heat[name];
  }

  /** @param {Setting | HeatToggle} name @param {boolean | number | string} value */
  set(name, value) {
    if (name === "window") {
      this.greys.choose(/** @type {Preset} */ (value));
      this.#onWindow();
      this.announceWindow();
      return;
    }
    Object.assign(this.heat, { [name]: value });
    saveSettings(this.heat);
    if (name === "shown") this.readout.announce(value ? "shown" : "hidden");
    if (name === "outline") this.readout.announce(value ? "outline" : "full");
    this.#changed();
  }

  /** Show the picture alone, or everything again. @param {boolean} bare */
  setBare(bare) {
    if (bare === this.bare) return;
    this.bare = bare;
    this.#changed();
  }

  /** @param {Mode} mode */
  setMode(mode) {
    this.mode = mode;
    this.dropCross();
    if (this.marking) this.readout.announce(`${mode}Help`);
    if (mode === "window") this.#deepen();
    this.#changed();
  }

  // --- what the stage asks for -----------------------------------------------------------------

  /** @param {number} dx screen pixels @param {number} dy */
  pan(dx, dy) {
    this.#move(() => this.view.pan(dx, dy));
  }

  /**
   * @param {number} factor
   * @param {number} [x] stays in place, screen pixels; the middle unless given
   * @param {number} [y]
   */
  zoomBy(factor, x, y) {
    this.#move(() => this.view.zoomBy(factor, x, y));
  }

  /**
   * Show the whole picture or, if that is shown, one picture pixel on one screen pixel.
   * @param {Point} point stays in place, screen pixels
   */
  fitOrActual({ x, y }) {
    const { view } = this;
    this.#move(() => (view.fitted ? view.zoomTo(1 / window.devicePixelRatio, x, y) : view.fit()));
  }

  /** Change the window. @param {number} dx screen pixels, as `Greys.move` takes them @param {number} dy */
  windowBy(dx, dy) {
    this.greys.move(dx, dy);
    this.#onWindow();
  }

  announceWindow() {
    this.readout.announce("window", this.greys.figures());
  }

  /** What dragging sets on the picture in this mode, if anything. @returns {Marking | null} */
  get marking() {
    return this.markings[this.mode] ?? null;
  }

  /** A length or an angle was measured, or a region drawn. */
  finish() {
    if (this.mode === "region") this.#dispatchRegion();
    else if (this.mode === "angle") this.#announceAngle();
    else this.#announceLength();
    this.stage.invalidate();
  }

  /** Let the reader draw one box. */
  askForRegion() {
    this.stage.element.scrollIntoView({ block: "nearest" });
    this.stage.element.focus({ preventScroll: true });
    this.setMode("region");
  }

  /** @param {Region[]} regions of this picture; no others are shown any more */
  showRegions(regions) {
    this.regions.shown = regions;
    this.stage.invalidate();
  }

  /** @param {number} dx screen pixels @param {number} dy */
  moveCross(dx, dy) {
    this.crosshair.move(dx, dy);
    this.stage.invalidate();
  }

  /** Enter while measuring or drawing: the first press sets one end, the next the other. */
  setCrossEnd() {
    if (this.marking && this.crosshair.press(this.marking)) this.finish();
    this.stage.invalidate();
  }

  dropCross() {
    this.crosshair.drop();
    this.regions.drawn = null;
    this.ruler.dropEmpty();
    this.angles.dropUnfinished();
    this.stage.invalidate();
  }

  /** Remove the newest angle while angles are measured, else the newest length. */
  erase() {
    this.crosshair.release();
    const isAngle = this.mode === "angle";
    if (isAngle ? this.angles.angles.pop() : this.ruler.lines.pop()) {
      this.readout.announce(isAngle ? "angleErased" : "erased");
    }
    this.stage.invalidate();
  }

  /** A linked viewer moved. @param {Pose} pose */
  follow(pose) {
    this.view.adopt(pose);
    this.stage.invalidate();
  }

  /** After the stage was drawn: update the figures and the colour scale beside the picture. */
  onDrawn() {
    this.readout.update(this);
    // A fitted picture leaves scrolling with one finger to the page; otherwise a phone could not scroll past it.
    const scrolls = this.view.fitted && this.mode === "move";
    this.figure.toggleAttribute("data-scrolls", scrolls);
  }

  /** @param {() => void} change */
  #move(change) {
    change();
    this.stage.invalidate();
    this.#dispatch("viewer:moved");
  }

  /** @param {string} name @param {object | null} [detail] */
  #dispatch(name, detail = null) {
    this.figure.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }

  #announceLength() {
    const line = this.ruler.lines.at(-1);
    this.ruler.dropEmpty();
    if (line && this.ruler.lines.includes(line))
      this.readout.announce("length", { value: this.ruler.length(line) });
  }

  #announceAngle() {
    this.angles.dropEmpty();
    const size = this.angles.size(this.angles.angles.at(-1));
    if (size) this.readout.announce("angle", { value: size });
    else if (this.angles.angles.length) this.readout.announce("angleNext");
  }

  #dispatchRegion() {
    const box = this.regions.finish(this.view.scale);
    if (!box) return;
    this.setMode("move");
    this.readout.announce("regionDrawn", { width: box[2], height: box[3] });
    this.#dispatch("viewer:box-drawn", { image: this.figure.dataset.image, box });
  }

  #onWindow() {
    this.#deepen();
    this.toolbar.refresh();
    this.stage.invalidateGreys();
  }

  /** Show the picture at its stored depth, which is loaded when it is first needed. */
  async #deepen() {
    if (!this.depth || this.stage.isDeep) return;
    const { depth } = this;
    try {
      const deep = await depth.load();
      if (this.depth === depth) this.stage.deepen(deep);
      this.readout.clearProblem("noDepth");
    } catch (error) {
      this.readout.showProblem("noDepth", error);
    }
  }

  #changed() {
    this.figure.dataset.mode = this.mode;
    this.figure.toggleAttribute("data-heat", Boolean(this.heatmap && this.heat.shown && !this.bare));
    this.toolbar.refresh();
    this.stage.invalidate();
  }

  #reset() {
    this.greys.reset();
    this.ruler.clear();
    this.angles.clear();
    this.mode = "move";
    this.dropCross();
    this.heat.shown = true;
    this.#move(() => this.view.reset());
    this.readout.announce("reset");
    this.#changed();
  }

  #isFull() {
    return document.fullscreenElement === this.figure || "full" in this.figure.dataset;
  }

  /** Browsers without full screen for elements (on an iPhone) let the viewer fill the page instead. */
  #toggleFull() {
    if (!document.fullscreenEnabled) this.figure.toggleAttribute("data-full");
    else if (this.#isFull()) document.exitFullscreen();
    else this.figure.requestFullscreen();
  }
}
