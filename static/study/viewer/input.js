/** Mouse, touch, wheel and the stage's own keys, as what the person does to the picture. */

/** @import { Lightbox } from "./lightbox.js" */
/** @import { Grip } from "./ruler.js" */
/** @import { Point } from "./view.js" */

/**
 * What dragging does: `move` gets the pointer's place and how far it came, in screen pixels.
 * @typedef {{move: (place: Point, dx: number, dy: number) => void, end: () => void}} Drag
 */

/** CSS pixels of one unit of a wheel's `deltaMode`: pixels, lines, pages. */
const WHEEL_UNITS = [1, 16, 400];
/** Screen pixels. */
const PAN_STEP = 48;
const CROSS_STEP = 10;
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {HTMLElement} stage
 * @param {Lightbox} viewer
 * @returns {() => void} stops listening
 */
export function listen(stage, viewer) {
  /** @type {Map<number, Point>} the place of every finger, by its pointer's id */
  const fingers = new Map();
  const listening = new AbortController();
  const { signal } = listening;
  /** @type {Drag | null} */
  let drag = null;

  /** In screen pixels. @param {MouseEvent} event @returns {Point} */
  const place = ({ clientX, clientY }) => {
    const box = stage.getBoundingClientRect();
    return { x: clientX - box.left - stage.clientLeft, y: clientY - box.top - stage.clientTop };
  };

  stage.addEventListener(
    "pointerdown",
    (event) => {
      if (event.target instanceof Element && event.target.closest("button, a")) return;
      stage.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, place(event));
      drag?.end();
      drag = fingers.size === 1 ? startDrag(viewer, event, place(event)) : null;
      if (event.button === 1) event.preventDefault();
    },
    { signal },
  );

  stage.addEventListener(
    "pointermove",
    (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = place(event);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (fingers.size === 2 && other) pinch(viewer, other, before, now);
      else drag?.move(now, now.x - before.x, now.y - before.y);
      fingers.set(event.pointerId, now);
    },
    { signal },
  );

  /** @param {PointerEvent} event */
  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    drag?.end();
    drag = null;
  };
  stage.addEventListener("pointerup", lift, { signal });
  stage.addEventListener("pointercancel", lift, { signal });
  stage.addEventListener("lostpointercapture", lift, { signal });

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      // A pinch on a touchpad comes as a wheel with Ctrl, in much smaller steps.
      const speed = event.ctrlKey ? 0.01 : 0.0015;
      const { x, y } = place(event);
      viewer.zoomBy(Math.exp(-event.deltaY * WHEEL_UNITS[event.deltaMode] * speed), x, y);
    },
    { passive: false, signal },
  );

  stage.addEventListener(
    "dblclick",
    (event) => {
      if (viewer.mode === "move") viewer.fitOrActual(place(event));
    },
    { signal },
  );
  stage.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });

  return () => listening.abort();
}

/**
 * The right button changes the window, the middle one moves the picture, any other does what the mode says.
 * @param {Lightbox} viewer
 * @param {PointerEvent} event
 * @param {Point} start in screen pixels
 * @returns {Drag}
 */
function startDrag(viewer, { button, pointerType }, start) {
  const mode = button === 1 ? "move" : button === 2 ? "window" : viewer.mode;
  const marking = viewer.markings[mode];
  if (marking) {
    const movePoint =
      marking.grab?.(start, viewer.view, /** @type {Grip} */ (pointerType)) ??
      marking.start(viewer.view.toPicture(start.x, start.y));
    return {
      move: ({ x, y }) => {
        movePoint(viewer.view.toPicture(x, y));
        viewer.stage.invalidate();
      },
      end: () => viewer.finish(),
    };
  }
  if (mode === "window") {
    return { move: (_, dx, dy) => viewer.windowBy(dx, dy), end: () => viewer.announceWindow() };
  }
  return { move: (_, dx, dy) => viewer.pan(dx, dy), end: () => {} };
}

/**
 * One of two fingers moved: scale by their distance, follow their middle.
 * @param {Lightbox} viewer
 * @param {Point} other the finger that stayed
 * @param {Point} before
 * @param {Point} now
 */
function pinch(viewer, other, before, now) {
  /** @param {Point} finger */
  const distance = (finger) => Math.max(1, Math.hypot(finger.x - other.x, finger.y - other.y));
  viewer.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
  viewer.zoomBy(distance(now) / distance(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
}

/**
 * Keys that belong to the stage: the arrows do what dragging does; with Shift they change the window or, while the
 * person measures or draws, move the cross by one pixel.
 * @param {Lightbox} viewer
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key was used
 */
export function useStageKey(viewer, { key, shiftKey }) {
  const arrow = ARROWS[key];
  const hasCross = viewer.marking !== null;
  if (arrow && hasCross) {
    const step = shiftKey ? 1 : CROSS_STEP;
    viewer.moveCross(arrow[0] * step, arrow[1] * step);
  } else if (arrow && (viewer.mode === "window" || shiftKey)) {
    viewer.windowBy(arrow[0] * 4, arrow[1] * 4);
    viewer.announceWindow();
  } else if (arrow) {
    viewer.pan(-arrow[0] * PAN_STEP, -arrow[1] * PAN_STEP);
  } else if (key === "Enter" && hasCross) {
    viewer.setCrossEnd();
  } else if (key === "Delete" || key === "Backspace") {
    viewer.erase();
  } else if (key === "Escape") {
    viewer.setMode("move");
  } else {
    return false;
  }
  return true;
}
