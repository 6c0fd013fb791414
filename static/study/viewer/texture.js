/** The radiograph as one texture of the graphics card, windowed by its shader: a frame costs nothing. */

/** @import { Deep } from "./deep.js" */
/** @import { Range } from "./greys.js" */
/** @import { Matrix, Size } from "./view.js" */

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
uniform sampler2D curve;
uniform float points;
uniform float masked;
uniform vec2 range;
uniform float inverted;
in vec2 place;
out vec4 colour;
void main() {
  float code = texture(picture, place, -0.5).r;
  float grey = clamp((code - range.x) / range.y, 0.0, 1.0);
  if (points > 0.0) grey = texture(curve, vec2((grey * (points - 1.0) + 0.5) / points, 0.5)).r;
  if (code < masked) grey = 0.0;
  colour = vec4(vec3(mix(grey, 1.0 - grey, inverted)), 1.0);
}`;

const UNIFORMS = ["toClip", "range", "inverted", "picture", "curve", "points", "masked"];

/**
 * Where codes of 16 bits go, and the number that the shader sees for code 1: normalised words where the card has
 * them, else floats that it can filter.
 * @typedef {{internal: number, type: number, unit: number, toData: (codes: Uint16Array) => ArrayBufferView}} DeepFormat
 */

/** @param {WebGL2RenderingContext} gl @returns {DeepFormat | null} null where the card has neither */
export function deepFormat(gl) {
  const words = gl.getExtension("EXT_texture_norm16");
  if (words) {
    return {
      internal: words.R16_EXT,
      type: gl.UNSIGNED_SHORT,
      unit: 1 / 65535,
      toData: (codes) => codes,
    };
  }
  if (gl.getExtension("OES_texture_float_linear") && gl.getExtension("EXT_color_buffer_float")) {
    return { internal: gl.R32F, type: gl.FLOAT, unit: 1, toData: (codes) => Float32Array.from(codes) };
  }
  return null;
}

export class TextureSurface {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {WebGL2RenderingContext} gl
   * @param {ImageBitmap | Deep} source a deep one needs a `deepFormat`
   * @param {Size} size
   */
  constructor(canvas, gl, source, size) {
    this.canvas = canvas;
    this.gl = gl;
    this.size = size;
    const program = link(gl);
    gl.useProgram(program);
    this.uniforms = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)]));
    /** What the shader sees for one number of the picture. */
    this.unit = 1 / 255;
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    if (source instanceof ImageBitmap) {
      addTexture(gl, 0);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, gl.RED, gl.UNSIGNED_BYTE, source);
      source.close();
    } else {
      this.#upload(source);
    }
    gl.activeTexture(gl.TEXTURE0);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.uniform1i(this.uniforms.picture, 0);
    gl.uniform1i(this.uniforms.curve, 1);
  }

  /** @param {Deep} deep */
  #upload({ width, height, values, scale }) {
    const { gl, uniforms } = this;
    const format = deepFormat(gl);
    if (!format) throw new Error("The graphics card holds no 16 bits");
    this.unit = format.unit;
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    addTexture(gl, 0);
    const data = format.toData(values);
    gl.texImage2D(gl.TEXTURE_2D, 0, format.internal, width, height, 0, gl.RED, format.type, data);
    if (scale.is_masked) gl.uniform1f(uniforms.masked, 0.5 * format.unit);
    if (!scale.curve) return;
    const points = Uint8Array.from(scale.curve);
    addTexture(gl, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, points.length, 1, 0, gl.RED, gl.UNSIGNED_BYTE, points);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.uniform1f(uniforms.points, points.length);
  }

  /** @param {Matrix} matrix picture pixels to canvas pixels @param {Range} range in the picture's numbers */
  draw(matrix, range) {
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
    gl.uniform2f(uniforms.range, range.low * this.unit, range.width * this.unit);
    gl.uniform1f(uniforms.inverted, range.inverted ? 1 : 0);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** A new texture on one of the shader's places. @param {WebGL2RenderingContext} gl @param {number} place */
function addTexture(gl, place) {
  gl.activeTexture(gl.TEXTURE0 + place);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
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
