/**
 * The window of a picture: which of its numbers are black and which white.
 *
 * Numbers are codes of the picture at its stored depth (`inference_worker.types.Depth`), or the display picture's
 * 0 to 255 where that holds all there is.
 */

/**
 * What the codes of a picture mean, from `data-depth`. `level` and `width` are the window as sent, in codes; `curve`
 * is how it goes from black to white where that is no straight line; people know code c as `first + c * step`.
 * @typedef {object} Scale
 * @property {number} highest code
 * @property {number} level
 * @property {number} width
 * @property {number} first
 * @property {number} step
 * @property {boolean} is_masked code 0 is no part of the picture and always black
 * @property {number[] | null} curve 0 to 255, evenly spaced
 */
/** `low` is black, `low + width` is white. @typedef {{low: number, width: number, inverted: boolean}} Range */
/** @typedef {"sent" | "bone" | "soft" | "full"} Preset options of `data-setting="window"` */

/** @type {Scale} */
const DISPLAY = {
  highest: 255,
  level: 127.5,
  width: 255,
  first: 0,
  step: 1,
  is_masked: false,
  curve: null,
};

/** A drag of so many screen pixels is the width of the window as sent. */
const PIXELS = 255;
/** A radiograph has no absolute units, so bone and soft tissue are shares of the window as sent: low, high. */
const SHARES = { bone: [0.25, 1.25], soft: [-0.25, 0.55] };

/** @param {string | undefined} text JSON @returns {Scale} */
export function readScale(text) {
  return text ? JSON.parse(text) : DISPLAY;
}

export class Greys {
  /** @param {Scale} scale */
  constructor(scale) {
    this.scale = scale;
    this.level = scale.level;
    this.width = scale.width;
    this.inverted = false;
  }

  /** As sent, not inverted. */
  reset() {
    this.inverted = false;
    this.choose("sent");
  }

  /** @param {Preset} preset */
  choose(preset) {
    Object.assign(this, this.#windowOf(preset));
  }

  /** The preset that is in use; empty for a window of the person's own. @returns {Preset | ""} */
  get preset() {
    const presets = /** @type {Preset[]} */ (["sent", "bone", "soft", "full"]);
    return presets.find((preset) => this.#is(this.#windowOf(preset))) ?? "";
  }

  /**
   * @param {number} dx screen pixels; to the right widens the window, which softens the picture
   * @param {number} dy up makes the picture brighter
   */
  move(dx, dy) {
    const { scale } = this;
    const step = scale.width / PIXELS;
    const widest = 2 * Math.max(scale.highest, scale.width);
    const { low, high } = endsOf(scale);
    this.width = Math.min(widest, Math.max(1, this.width + dx * step));
    this.level = Math.min(Math.max(scale.highest, high), Math.max(Math.min(0, low), this.level + dy * step));
  }

  /** On the picture at its stored depth. @returns {Range} */
  onDepth() {
    return { low: this.level - this.width / 2, width: this.width, inverted: this.inverted };
  }

  /** On the display picture, which went through the window as sent already. @returns {Range} */
  onDisplay() {
    const { scale, inverted } = this;
    if (this.#is(scale)) return { low: 0, width: 255, inverted };
    const step = 255 / scale.width;
    const low = (this.level - this.width / 2 - endsOf(scale).low) * step;
    return { low, width: this.width * step, inverted };
  }

  /** The window in the numbers that people know. */
  figures() {
    const { first, step } = this.scale;
    return { width: figure(this.width * Math.abs(step)), level: figure(first + this.level * step) };
  }

  /** @param {{level: number, width: number}} other */
  #is({ level, width }) {
    return level === this.level && width === this.width;
  }

  /** @param {Preset} preset */
  #windowOf(preset) {
    const { scale } = this;
    if (preset === "sent") return { level: scale.level, width: scale.width };
    if (preset === "full") return { level: scale.highest / 2, width: scale.highest };
    const [low, high] = SHARES[preset].map((share) => endsOf(scale).low + share * scale.width);
    return { level: (low + high) / 2, width: high - low };
  }
}

/**
 * Display levels for every code from 0 to `highest`.
 * @param {Scale} scale
 * @param {Range} range
 * @returns {Uint8Array}
 */
export function lookup({ highest, curve, is_masked }, { low, width, inverted }) {
  const levels = new Uint8Array(highest + 1);
  const last = curve ? curve.length - 1 : 0;
  for (let code = 0; code <= highest; code += 1) {
    const share = Math.min(1, Math.max(0, (code - low) / width));
    let level = share * 255;
    if (curve) {
      const place = Math.min(last - 1, Math.floor(share * last));
      level = curve[place] + (curve[place + 1] - curve[place]) * (share * last - place);
    }
    levels[code] = Math.round(inverted ? 255 - level : level);
  }
  if (is_masked) levels[0] = inverted ? 255 : 0;
  return levels;
}

/** @param {Scale} scale @returns {{low: number, high: number}} of the window as sent */
function endsOf({ level, width }) {
  return { low: level - width / 2, high: level + width / 2 };
}

/** Whole where that says enough. @param {number} value */
function figure(value) {
  return Math.abs(value) < 10 && !Number.isInteger(value) ? Number(value.toFixed(2)) : Math.round(value);
}
