/**
 * The controls that the template lays out: `data-mode` (what dragging does), `data-action` (done once),
 * `data-toggle` (on or off), `data-setting` (a value) and `data-hold` (as long as it is held). Shortcuts come from `data-keys`, and are announced as long
 * as single keys are shortcuts.
 */

/** @import { Action, Lightbox, Mode, Setting, Toggle } from "./lightbox.js" */

import { findElement, findElements } from "../../shared/dom.js";
import { singleKeysEnabled } from "../../shared/keys.js";

/** @typedef {HTMLButtonElement | HTMLInputElement | HTMLSelectElement} Control */
/**
 * What a control stands for.
 * @typedef {{mode?: Mode, action?: Action, toggle?: Toggle, setting?: Setting, hold?: "bare", keys?: string}} ControlData
 */
/** @typedef {{control: Control, isSecond: boolean}} Shortcut `isSecond` of two keys: it raises a slider */

/** @param {Control} control @returns {ControlData} */
const dataOf = (control) => control.dataset;

export class Toolbar {
  /**
   * @param {HTMLElement} figure
   * @param {Lightbox} viewer
   */
  constructor(figure, viewer) {
    this.figure = figure;
    this.viewer = viewer;
    const selector = "[data-mode], [data-action], [data-toggle], [data-setting], [data-hold]";
    this.controls = /** @type {Control[]} */ (findElements(figure, selector, HTMLElement));
    this.shortcuts = readShortcuts(this.controls);
    this.hinted = findElements(figure, "[data-hint]", HTMLElement);
    this.listening = new AbortController();
    const { signal } = this.listening;
    for (const control of this.controls) {
      if (control instanceof HTMLButtonElement && dataOf(control).hold) {
        whileHeld(control, (isHeld) => viewer.setBare(isHeld), signal);
        continue;
      }
      const event = control.matches("[data-setting]") ? "input" : "click";
      control.addEventListener(event, () => this.#use(control), { signal });
    }
    for (const bar of findElements(figure, '[role="toolbar"]', HTMLElement)) rovingTabStop(bar, signal);
    document.addEventListener("portal:single-keys", () => this.announce(), { signal });
    this.announce();
  }

  /** Name the shortcuts to screen readers and on hover, as long as they work. */
  announce() {
    const isEnabled = singleKeysEnabled();
    for (const control of this.controls) {
      const { keys } = dataOf(control);
      if (keys && isEnabled) control.setAttribute("aria-keyshortcuts", keys);
      else control.removeAttribute("aria-keyshortcuts");
    }
    for (const element of this.hinted) {
      element.dataset.title ??= element.title;
      const { title = "", hint } = element.dataset;
      element.title = isEnabled ? `${title} (${hint})` : title;
    }
  }

  close() {
    this.listening.abort();
  }

  /** Show the viewer's state on every control. */
  refresh() {
    for (const control of this.controls) {
      const { mode, toggle, setting, hold } = dataOf(control);
      if (hold) showPressed(control, this.viewer.bare);
      if (mode) showPressed(control, this.viewer.mode === mode);
      if (toggle) showPressed(control, this.viewer.isOn(toggle));
      if (setting) showValue(control, this.viewer.valueOf(setting));
    }
  }

  /**
   * Show or hide the controls of a group, and enable or disable them.
   * @param {string} group a `data-group` of the template
   * @param {boolean} isShown
   * @param {boolean} isEnabled
   */
  offer(group, isShown, isEnabled) {
    const element = findElement(this.figure, `[data-group="${group}"]`, HTMLElement);
    if (element) element.hidden = !isShown;
    for (const control of this.controls) {
      if (control.closest(`[data-group="${group}"]`)) control.disabled = !isEnabled;
    }
  }

  /**
   * @param {string} key as `shortcut` gives it
   * @returns {boolean} whether a control has this shortcut
   */
  press(key) {
    const found = this.shortcuts.get(key);
    if (!found || found.control.disabled) return false;
    const { control, isSecond } = found;
    if (control instanceof HTMLSelectElement) {
      chooseNext(control);
    } else if (control instanceof HTMLInputElement) {
      if (isSecond) control.stepUp();
      else control.stepDown();
    }
    this.#use(control);
    return true;
  }

  /** @param {Control} control */
  #use(control) {
    const { mode, action, toggle, setting, hold } = dataOf(control);
    if (hold) this.viewer.setBare(true); // until the key is let go
    if (mode) this.viewer.setMode(mode);
    if (action) this.viewer.act(action);
    if (toggle) this.viewer.toggle(toggle);
    if (setting)
      this.viewer.set(setting, control.type === "range" ? Number(control.value) / 100 : control.value);
  }
}

/**
 * Tell when a button begins and ends to be held, by pointer or by Space or Enter.
 * @param {HTMLButtonElement} control
 * @param {(isHeld: boolean) => void} tell
 * @param {AbortSignal} signal
 */
function whileHeld(control, tell, signal) {
  control.addEventListener(
    "pointerdown",
    ({ button, pointerId }) => {
      if (button !== 0) return;
      control.setPointerCapture(pointerId);
      tell(true);
    },
    { signal },
  );
  control.addEventListener("keydown", ({ key }) => (key === " " || key === "Enter") && tell(true), {
    signal,
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "keyup", "blur"]) {
    control.addEventListener(end, () => tell(false), { signal });
  }
  // A finger that stays would open the browser's menu.
  control.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
}

/**
 * How a key press is written in `aria-keyshortcuts`: letters with their Shift, signs as they are typed.
 * @param {KeyboardEvent} event
 */
export function shortcut({ key, shiftKey }) {
  if (key === "+") return "PLUS";
  const isLetter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  return `${shiftKey && isLetter ? "SHIFT+" : ""}${key.toUpperCase()}`;
}

/** @param {Control[]} controls */
function readShortcuts(controls) {
  /** @type {Map<string, Shortcut>} */
  const shortcuts = new Map();
  for (const control of controls) {
    const keys = (dataOf(control).keys ?? "").toUpperCase().split(" ").filter(Boolean);
    for (const [index, key] of keys.entries()) shortcuts.set(key, { control, isSecond: index === 1 });
  }
  return shortcuts;
}

/** The next option that a person could choose, round and round. @param {HTMLSelectElement} control */
function chooseNext(control) {
  const options = [...control.options].filter((option) => !option.disabled);
  const next = options[(options.findIndex((option) => option.selected) + 1) % options.length];
  control.value = next.value;
}

/** @param {Control} control @param {boolean} isPressed */
function showPressed(control, isPressed) {
  const attribute = control.hasAttribute("aria-expanded") ? "aria-expanded" : "aria-pressed";
  control.setAttribute(attribute, String(isPressed));
}

/** @param {Control} control @param {string | number} value a share from 0 to 1 for a slider */
function showValue(control, value) {
  if (typeof value === "string") {
    control.value = value;
    return;
  }
  const percent = Math.round(value * 100);
  control.value = String(percent);
  control.setAttribute("aria-valuetext", `${percent} %`);
}

/**
 * Make a row of buttons one Tab stop; the arrow keys, Home and End move inside it.
 * @param {HTMLElement} bar
 * @param {AbortSignal} signal
 */
function rovingTabStop(bar, signal) {
  const buttons = [...bar.querySelectorAll("button")];
  /** @param {EventTarget | null} target */
  const buttonOf = (target) => (target instanceof Element ? target.closest("button") : null);
  /** @param {HTMLButtonElement | null} current */
  const setTabStop = (current) => {
    for (const button of buttons) button.tabIndex = button === current ? 0 : -1;
  };
  setTabStop(buttons[0]);
  bar.addEventListener("focusin", ({ target }) => setTabStop(buttonOf(target)), { signal });
  bar.addEventListener(
    "keydown",
    (event) => {
      const usable = buttons.filter((button) => !button.disabled && button.offsetParent);
      const focused = buttonOf(event.target);
      const index = focused ? usable.indexOf(focused) : -1;
      /** @type {Record<string, number>} */
      const moves = {
        ArrowRight: (index + 1) % usable.length,
        ArrowLeft: (index - 1 + usable.length) % usable.length,
        Home: 0,
        End: usable.length - 1,
      };
      const next = usable[moves[event.key]];
      if (!next) return;
      event.preventDefault();
      next.focus();
    },
    { signal },
  );
}
