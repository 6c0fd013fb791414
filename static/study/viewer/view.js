/**
 * Geometry of one viewer: picture pixels to screen pixels as one affine matrix.
 *
 * Picture coordinates are continuous: (0, 0) is the outer corner of the first pixel, its centre is
 * (0.5, 0.5). Screen coordinates are CSS pixels from the stage's upper left corner.
 */

const LARGEST_SCALE = 40;
/** The picture can be moved aside, but so many screen pixels of it stay on the stage. */
const IN_REACH = 48;

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{width: number, height: number}} Size */
/**
 * x' = a x + c y + e, y' = b x + d y + f
 * @typedef {{a: number, b: number, c: number, d: number, e: number, f: number}} Matrix
 */
/**
 * What two viewers of different pictures can share: zoom against fit, and what is in the middle of
 * the stage, as fractions of the picture as it is seen (turned and mirrored).
 * @typedef {{zoom: number, x: number, y: number}} Pose
 */

export class View {
  /**
   * @param {number} width of the picture, pixels
   * @param {number} height of the picture, pixels
   */
  constructor(width, height) {
    /** @type {Size} */
    this.picture = { width, height };
    /** @type {Size} CSS pixels */
    this.stage = { width: 1, height: 1 };
    /** The picture fills the stage and follows its size. */
    this.fitted = true;
    /** @type {Matrix} */
    this.matrix = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };
    this.fit();
  }

  /** Screen pixels per picture pixel. */
  get scale() {
    return Math.hypot(this.matrix.a, this.matrix.b);
  }

  get mirrored() {
    const { a, b, c, d } = this.matrix;
    return a * d - b * c < 0;
  }

  /** Quarter turns clockwise, 0 to 3, after mirroring left to right. */
  get turns() {
    const quarter = Math.round(Math.atan2(-this.matrix.c, this.matrix.d) / (Math.PI / 2));
    return (quarter + 4) % 4;
  }

  /** The largest scale at which the whole picture is on the stage. */
  get fitScale() {
    const { width, height } = this.picture;
    const lying = this.turns % 2 === 1;
    return Math.min(
      this.stage.width / (lying ? height : width),
      this.stage.height / (lying ? width : height),
    );
  }

  /** @param {number} x @param {number} y @returns {Point} */
  toScreen(x, y) {
    const { a, b, c, d, e, f } = this.matrix;
    return { x: a * x + c * y + e, y: b * x + d * y + f };
  }

  /** @param {number} x @param {number} y @returns {Point} */
  toPicture(x, y) {
    const { a, b, c, d, e, f } = this.matrix;
    const area = a * d - b * c;
    const u = x - e;
    const v = y - f;
    return { x: (d * u - c * v) / area, y: (a * v - b * u) / area };
  }

  /**
   * The stage has another size: stay fitted, or keep the point in the middle.
   * @param {number} width CSS pixels
   * @param {number} height
   */
  resize(width, height) {
    const middle = this.middle();
    this.stage = { width: Math.max(1, width), height: Math.max(1, height) };
    if (this.fitted) {
      this.fit();
    } else {
      this.#centre(middle);
      this.#keepInReach();
    }
  }

  /** The picture point in the middle of the stage. */
  middle() {
    return this.toPicture(this.stage.width / 2, this.stage.height / 2);
  }

  /** Show the whole picture; rotation and mirroring stay. */
  fit() {
    this.#setLinear(this.fitScale, this.turns, this.mirrored);
    this.#centre({ x: this.picture.width / 2, y: this.picture.height / 2 });
    this.fitted = true;
  }

  /** Upright, not mirrored, fitted. */
  reset() {
    this.#setLinear(1, 0, false);
    this.fit();
  }

  /**
   * Scale by `factor` so that what is at screen point (x, y) stays there.
   * @param {number} factor
   * @param {number} [x]
   * @param {number} [y]
   */
  zoomBy(factor, x = this.stage.width / 2, y = this.stage.height / 2) {
    this.zoomTo(this.scale * factor, x, y);
  }

  /**
   * Set the scale so that what is at screen point (x, y) stays there.
   * @param {number} scale screen pixels per picture pixel
   * @param {number} [x]
   * @param {number} [y]
   */
  zoomTo(scale, x = this.stage.width / 2, y = this.stage.height / 2) {
    const smallest = Math.min(this.fitScale, 1) / 4;
    const factor = Math.min(LARGEST_SCALE, Math.max(smallest, scale)) / this.scale;
    this.#multiply(factor, 0, 0, factor, x, y);
    this.fitted = false;
    this.#keepInReach();
  }

  /** @param {number} dx screen pixels @param {number} dy */
  pan(dx, dy) {
    this.matrix.e += dx;
    this.matrix.f += dy;
    this.fitted = false;
    this.#keepInReach();
  }

  /** A quarter turn clockwise, as seen. */
  rotate() {
    this.#turnAbout(0, 1, -1, 0);
  }

  /** Left becomes right, as seen. */
  mirror() {
    this.#turnAbout(-1, 0, 0, 1);
  }

  /** @returns {Pose} */
  pose() {
    const { left, top, width, height } = this.extent();
    return {
      zoom: this.scale / this.fitScale,
      x: (this.stage.width / 2 - left) / width,
      y: (this.stage.height / 2 - top) / height,
    };
  }

  /** Take over another viewer's zoom and place; turns and mirroring stay. @param {Pose} pose */
  adopt(pose) {
    this.#setLinear(this.fitScale * pose.zoom, this.turns, this.mirrored);
    const { left, top, width, height } = this.extent();
    this.matrix.e += this.stage.width / 2 - left - pose.x * width;
    this.matrix.f += this.stage.height / 2 - top - pose.y * height;
    this.fitted = Math.abs(pose.zoom - 1) < 1e-6 && Math.hypot(pose.x - 0.5, pose.y - 0.5) < 1e-6;
  }

  /** The picture's bounding box on the screen. */
  extent() {
    const one = this.toScreen(0, 0);
    const other = this.toScreen(this.picture.width, this.picture.height);
    return {
      left: Math.min(one.x, other.x),
      top: Math.min(one.y, other.y),
      width: Math.abs(other.x - one.x),
      height: Math.abs(other.y - one.y),
    };
  }

  /**
   * matrix = [a c; b d] about screen point (x, y), times matrix.
   * @param {number} a
   * @param {number} b
   * @param {number} c
   * @param {number} d
   * @param {number} x
   * @param {number} y
   */
  #multiply(a, b, c, d, x, y) {
    const m = this.matrix;
    const u = m.e - x;
    const v = m.f - y;
    this.matrix = {
      a: a * m.a + c * m.b,
      b: b * m.a + d * m.b,
      c: a * m.c + c * m.d,
      d: b * m.c + d * m.d,
      e: a * u + c * v + x,
      f: b * u + d * v + y,
    };
  }

  /**
   * [a c; b d] about the middle of the stage.
   * @param {number} a
   * @param {number} b
   * @param {number} c
   * @param {number} d
   */
  #turnAbout(a, b, c, d) {
    this.#multiply(a, b, c, d, this.stage.width / 2, this.stage.height / 2);
    if (this.fitted) this.fit();
    else this.#keepInReach();
  }

  /**
   * Set the linear part anew, in quarter turns, so that no rounding adds up; the offset stays.
   * @param {number} scale
   * @param {number} turns quarters, 0 to 3
   * @param {boolean} mirrored
   */
  #setLinear(scale, turns, mirrored) {
    const cos = [1, 0, -1, 0][turns];
    const sin = [0, 1, 0, -1][turns];
    const side = mirrored ? -scale : scale;
    Object.assign(this.matrix, { a: side * cos, b: side * sin, c: -scale * sin, d: scale * cos });
  }

  /** Bring a picture point to the middle of the stage. @param {Point} point */
  #centre(point) {
    const now = this.toScreen(point.x, point.y);
    this.matrix.e += this.stage.width / 2 - now.x;
    this.matrix.f += this.stage.height / 2 - now.y;
  }

  #keepInReach() {
    const { left, top, width, height } = this.extent();
    this.matrix.e += reach(left, width, this.stage.width);
    this.matrix.f += reach(top, height, this.stage.height);
  }
}

/**
 * How far an extent on the screen must move so that a strip of it stays inside 0 to `size`.
 * @param {number} first
 * @param {number} length
 * @param {number} size
 */
function reach(first, length, size) {
  const strip = Math.min(IN_REACH, length, size);
  if (first + length < strip) return strip - length - first;
  if (first > size - strip) return size - strip - first;
  return 0;
}
