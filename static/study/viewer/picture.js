/**
 * The radiograph on its canvas: decoded once, windowed while drawing.
 *
 * WebGL keeps the picture as one texture and windows it in the shader, so a 4,000 pixel picture
 * costs nothing per frame. Without WebGL look-up tables are applied to what is on the screen, never to
 * the whole picture.
 */

/** @import { Deep } from "./deep.js" */
/** @import { Range } from "./greys.js" */
/** @import { Matrix, Size } from "./view.js" */

import { DeepPlainSurface } from "./deep_plain.js";
import { PlainSurface, pyramid } from "./plain.js";
import { deepFormat, TextureSurface } from "./texture.js";

/**
 * `range` is in the numbers of the picture that it was made of.
 * @typedef {{canvas: HTMLCanvasElement, draw(matrix: Matrix, range: Range): void, dispose(): void}} Surface
 */

/**
 * @param {string} url
 * @returns {Promise<ImageBitmap>}
 * @throws {Error} when the answer is not a picture
 */
export async function fetchPicture(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`The picture answered ${response.status}`);
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
}

/** Whether a graphics card may draw: asking takes as long as all the rest, so a "no" holds for all pictures that follow. */
let hasCard = true;

/**
 * Make what drawing a picture needs before it is shown, where that can be done without its place on the page.
 * @param {ImageBitmap} bitmap
 */
export function prepareSurface(bitmap) {
  if (!hasCard) pyramid(bitmap);
}

/**
 * @param {ImageBitmap | Deep} source a bitmap becomes the surface's own
 * @param {Size} size of the picture, in its own coordinates
 * @param {boolean} accelerated whether WebGL may be tried
 * @returns {Surface} with a canvas of its own, since a canvas keeps its first kind of context
 */
export function createSurface(source, size, accelerated) {
  const isDeep = !(source instanceof ImageBitmap);
  const canvas = document.createElement("canvas");
  const gl = accelerated && hasCard ? canvas.getContext("webgl2", { antialias: false, depth: false }) : null;
  if (accelerated) hasCard = gl !== null && !isSoftwareRendered(gl);
  if (
    gl &&
    hasCard &&
    Math.max(source.width, source.height) <= gl.getParameter(gl.MAX_TEXTURE_SIZE) &&
    (!isDeep || deepFormat(gl))
  ) {
    return new TextureSurface(canvas, gl, source, size);
  }
  return isDeep ? new DeepPlainSurface(source, size) : new PlainSurface(source, size);
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
