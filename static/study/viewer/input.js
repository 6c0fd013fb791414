/** Mouse, touch, wheel and the stage's own keys, told to the viewer as what the person means. */

const WHEEL = { line: 16, page: 400 };
const PAN_STEP = 48;
const CROSS_STEP = 10;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {HTMLElement} stage
 * @param {Lightbox} viewer
 * @returns {() => void} stops listening
 */
export function listen(stage, viewer) {
  const fingers = new Map();
  const listening = new AbortController();
  let drag = null;

  const place = ({ clientX, clientY }) => {
    const box = stage.getBoundingClientRect();
    return { x: clientX - box.left - stage.clientLeft, y: clientY - box.top - stage.clientTop };
  };
  const on = (name, handle, options = {}) =>
    stage.addEventListener(name, handle, { ...options, signal: listening.signal });

  on("pointerdown", (event) => {
    if (event.target.closest("button, a")) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    drag?.end();
    drag = fingers.size === 1 ? begin(viewer, event, place(event)) : null;
    if (event.button === 1) event.preventDefault();
  });

  on("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    if (fingers.size === 2) {
      pinch(viewer, [...fingers].find(([id]) => id !== event.pointerId)[1], before, now);
    } else {
      drag?.move(now, now.x - before.x, now.y - before.y);
    }
    fingers.set(event.pointerId, now);
  });

  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    drag?.end();
    drag = null;
  };
  on("pointerup", lift);
  on("pointercancel", lift);
  on("lostpointercapture", lift);

  on("wheel", (event) => {
    event.preventDefault();
    const unit = [1, WHEEL.line, WHEEL.page][event.deltaMode];
    // A pinch on a touchpad comes as a wheel with Ctrl, in much smaller steps.
    const speed = event.ctrlKey ? 0.01 : 0.0015;
    const { x, y } = place(event);
    viewer.zoomBy(Math.exp(-event.deltaY * unit * speed), x, y);
  }, { passive: false });

  on("dblclick", (event) => {
    if (viewer.mode === "move") viewer.fitOrActual(place(event));
  });
  on("contextmenu", (event) => event.preventDefault());
  on("dragstart", (event) => event.preventDefault());
  on("blur", () => viewer.dropCross());

  return () => listening.abort();
}

/** What dragging does from here: the right button windows, the middle one moves, else by mode. */
function begin(viewer, { button, pointerType }, start) {
  const mode = { 1: "move", 2: "window" }[button] ?? viewer.mode;
  if (mode === "ruler" || mode === "region") {
    const held =
      mode === "ruler"
        ? viewer.ruler.grab(start, viewer.view, pointerType)
        : viewer.regions.start(viewer.view.toPicture(start.x, start.y));
    return {
      move: ({ x, y }) => {
        held(viewer.view.toPicture(x, y));
        viewer.stage.invalidate();
      },
      end: () => viewer.finish(),
    };
  }
  if (mode === "window") {
    return { move: (_, dx, dy) => viewer.windowBy(dx, dy), end: () => viewer.sayWindow() };
  }
  return { move: (_, dx, dy) => viewer.pan(dx, dy), end: () => {} };
}

/** One of two fingers moved: scale by their distance, follow their middle. */
function pinch(viewer, other, before, now) {
  const gap = (finger) => Math.max(1, Math.hypot(finger.x - other.x, finger.y - other.y));
  viewer.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
  viewer.zoomBy(gap(now) / gap(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
}

/**
 * Keys that belong to the stage: the arrows do what dragging does, with Shift they window (or, while
 * measuring or drawing, move the cross finely).
 * @returns {boolean} whether the key meant something
 */
export function stageKey(viewer, { key, shiftKey }) {
  const arrow = ARROWS[key];
  const points = viewer.mode === "ruler" || viewer.mode === "region";
  if (arrow && points) {
    const step = shiftKey ? 1 : CROSS_STEP;
    viewer.moveCross(arrow[0] * step, arrow[1] * step);
  } else if (arrow && (viewer.mode === "window" || shiftKey)) {
    viewer.windowBy(arrow[0] * 4, arrow[1] * 4);
    viewer.sayWindow();
  } else if (arrow) {
    viewer.pan(-arrow[0] * PAN_STEP, -arrow[1] * PAN_STEP);
  } else if (key === "Enter" && points) {
    viewer.setCrossEnd();
  } else if (key === "Delete" || key === "Backspace") {
    viewer.eraseLength();
  } else if (key === "Escape") {
    viewer.setMode("move");
  } else {
    return false;
  }
  return true;
}
