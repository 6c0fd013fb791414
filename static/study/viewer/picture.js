/**
 * The radiograph on its canvas: decoded once, windowed while drawing.
 *
 * WebGL keeps the picture as one texture and windows it in the shader, so a 4,000 pixel picture
 * costs nothing per frame. Without WebGL the picture is drawn by 2D canvas from a pyramid and a
 * look-up table is applied to the pixels on the screen, never to the whole picture.
 */

/** @import { Matrix, Size } from "./view.js" */

/** Grey level in the middle of the window and width of the window, of 0..255. */
export const WHOLE_RANGE = { level: 127.5, width: 255 };

/**
 * @typedef {{level: number, width: number, inverted: boolean}} Greys
 * @typedef {{canvas: HTMLCanvasElement, draw(matrix: Matrix, greys: Greys): void, dispose(): void}} Surface
 */

/** @param {HTMLImageElement} image @returns {Promise<ImageBitmap>} */
export async function decode(image) {
  await image.decode();
  return createImageBitmap(image, { colorSpaceConversion: "none" });
}

/**
 * @param {ImageBitmap} bitmap becomes the surface's own
 * @param {Size} size of the picture, in its own coordinates
 * @param {boolean} accelerated whether WebGL may be tried
 * @returns {Surface} with a canvas of its own, since a canvas keeps its first kind of context
 */
export function createSurface(bitmap, size, accelerated) {
  const canvas = document.createElement("canvas");
  const gl = accelerated ? canvas.getContext("webgl2", { antialias: false, depth: false }) : null;
  if (
    gl &&
    !isSoftwareRendered(gl) &&
    Math.max(bitmap.width, bitmap.height) <= gl.getParameter(gl.MAX_TEXTURE_SIZE)
  ) {
    return new TextureSurface(canvas, gl, bitmap, size);
  }
  return new PlainSurface(bitmap, size);
}

/**
 * Whether the processor renders in place of a graphics card. A frame then takes longer than on the plain surface.
 * `failIfMajorPerformanceCaveat` should tell, but Chromium's SwiftShader passes it.
 * @param {WebGL2RenderingContext} gl
 */
function isSoftwareRendered(gl) {
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl.getParameter(names?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
  return /swiftshader|llvmpipe|software|basic render/i.test(renderer);
}

const VERTEX = `#version 300 es
uniform mat3 toClip;
out vec2 place;
void main() {
  place = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4((toClip * vec3(place, 1.0)).xy, 0.0, 1.0);
}`;

// The bias takes a sharper step of the pyramid than usual, because the usual one looks soft on bone.
const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform vec2 range;
uniform float inverted;
in vec2 place;
out vec4 colour;
void main() {
  float grey = clamp((texture(picture, place, -0.5).r - range.x) / range.y, 0.0, 1.0);
  colour = vec4(vec3(mix(grey, 1.0 - grey, inverted)), 1.0);
}`;

class TextureSurface {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {WebGL2RenderingContext} gl
   * @param {ImageBitmap} bitmap
   * @param {Size} size
   */
  constructor(canvas, gl, bitmap, size) {
    this.canvas = canvas;
    this.gl = gl;
    this.size = size;
    const program = link(gl);
    gl.useProgram(program);
    this.uniforms = Object.fromEntries(
      ["toClip", "range", "inverted"].map((name) => [name, gl.getUniformLocation(program, name)]),
    );
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, gl.RED, gl.UNSIGNED_BYTE, bitmap);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    bitmap.close();
  }

  /** @param {Matrix} matrix picture pixels to canvas pixels @param {Greys} greys */
  draw(matrix, greys) {
    const { gl, uniforms } = this;
    const { width, height } = this.canvas;
    const across = 2 / width;
    const down = -2 / height;
    const { a, b, c, d, e, f } = matrix;
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    // Column by column: the unit square to the picture, to canvas pixels, to clip space.
    gl.uniformMatrix3fv(uniforms.toClip, false, [
      a * this.size.width * across,
      b * this.size.width * down,
      0,
      c * this.size.height * across,
      d * this.size.height * down,
      0,
      e * across - 1,
      f * down + 1,
      1,
    ]);
    gl.uniform2f(uniforms.range, (greys.level - greys.width / 2) / 255, greys.width / 255);
    gl.uniform1f(uniforms.inverted, greys.inverted ? 1 : 0);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** @param {WebGL2RenderingContext} gl */
function link(gl) {
  const program = gl.createProgram();
  /** @type {[number, string][]} */
  const sources = [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ];
  for (const [kind, source] of sources) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error("The browser makes no shader");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`The shader does not link: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}

class PlainSurface {
  /** @param {ImageBitmap} bitmap @param {Size} size */
  constructor(bitmap, size) {
    this.canvas = document.createElement("canvas");
    this.context = context2d(this.canvas, { willReadFrequently: true });
    this.size = size;
    this.steps = pyramid(bitmap);
    this.lut = { key: "", greys: new Uint32Array(256) };
  }

  /** @param {Matrix} matrix picture pixels to canvas pixels @param {Greys} greys */
  draw(matrix, greys) {
    const { context, canvas } = this;
    const { a, b, c, d, e, f } = matrix;
    const step = Math.floor(Math.max(0, -Math.log2(Math.hypot(a, b))));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(a, b, c, d, e, f);
    context.imageSmoothingQuality = "high";
    context.drawImage(
      this.steps[Math.min(step, this.steps.length - 1)],
      0,
      0,
      this.size.width,
      this.size.height,
    );
    const whole = greys.level === WHOLE_RANGE.level && greys.width === WHOLE_RANGE.width;
    if (!whole || greys.inverted) this.#window(greys);
  }

  dispose() {
    for (const step of this.steps) {
      if (step instanceof ImageBitmap) step.close();
      else step.width = 0; // frees its pixels
    }
  }

  /** @param {Greys} greys */
  #window(greys) {
    const pixels = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const words = new Uint32Array(pixels.data.buffer);
    const lut = this.#lookup(greys);
    // The high byte (every platform with a browser is little-endian) is alpha: kept, so that the surroundings
    // stay empty.
    for (let i = 0; i < words.length; i += 1) {
      if (words[i]) words[i] = (words[i] & 0xff000000) | lut[words[i] & 0xff];
    }
    this.context.putImageData(pixels, 0, 0);
  }

  /** @param {Greys} greys @returns {Uint32Array} grey levels as red, green and blue */
  #lookup({ level, width, inverted }) {
    const key = `${level} ${width} ${inverted}`;
    if (key !== this.lut.key) {
      for (let i = 0; i < 256; i += 1) {
        const share = Math.min(1, Math.max(0, (i - level + width / 2) / width));
        const grey = Math.round(255 * (inverted ? 1 - share : share));
        this.lut.greys[i] = (grey << 16) | (grey << 8) | grey;
      }
      this.lut.key = key;
    }
    return this.lut.greys;
  }
}

/**
 * A new 2D context.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
function context2d(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("The browser draws no pictures");
  return context;
}

/**
 * The picture and its half, quarter, …, so that drawing it small never touches every pixel.
 * @param {ImageBitmap} bitmap
 */
function pyramid(bitmap) {
  /** @type {(ImageBitmap | HTMLCanvasElement)[]} */
  const steps = [bitmap];
  /** @type {ImageBitmap | HTMLCanvasElement} */
  let larger = bitmap;
  while (Math.max(larger.width, larger.height) > 1024) {
    const smaller = document.createElement("canvas");
    smaller.width = Math.max(1, Math.round(larger.width / 2));
    smaller.height = Math.max(1, Math.round(larger.height / 2));
    const context = context2d(smaller);
    context.imageSmoothingQuality = "high";
    context.drawImage(larger, 0, 0, smaller.width, smaller.height);
    steps.push(smaller);
    larger = smaller;
  }
  return steps;
}
