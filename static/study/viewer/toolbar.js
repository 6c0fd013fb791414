/**
 * The controls that the template lays out: `data-mode` (what dragging does), `data-action`
 * (something to do now), `data-toggle` (on or off) and `data-setting` (a value). Shortcuts are
 * read from `data-keys`, and announced from there as long as they are heeded.
 */

/** Whether keys of a single character mean anything; people can turn them off (static/shared/portal.js). */
export const heedsSingleKeys = () => document.documentElement.dataset.singleKeys !== "off";

export class Toolbar {
  /**
   * @param {HTMLElement} figure
   * @param {Lightbox} viewer
   */
  constructor(figure, viewer) {
    this.viewer = viewer;
    this.controls = [
      ...figure.querySelectorAll("[data-mode], [data-action], [data-toggle], [data-setting]"),
    ];
    this.shortcuts = readShortcuts(this.controls);
    this.hinted = [...figure.querySelectorAll("[data-hint]")];
    this.signal = new AbortController();
    const options = { signal: this.signal.signal };
    for (const control of this.controls) {
      const event = control.matches("[data-setting]") ? "input" : "click";
      control.addEventListener(event, () => this.#use(control), options);
    }
    for (const bar of figure.querySelectorAll('[role="toolbar"]')) rove(bar, options);
    document.addEventListener("portal:single-keys", () => this.announce(), options);
    this.announce();
  }

  /** To those who hear the page, and on hover: what is announced works, and nothing else is. */
  announce() {
    const heeds = heedsSingleKeys();
    for (const control of this.controls) {
      const { keys } = control.dataset;
      if (keys && heeds) control.setAttribute("aria-keyshortcuts", keys);
      else control.removeAttribute("aria-keyshortcuts");
    }
    for (const element of this.hinted) {
      element.dataset.title ??= element.title;
      const { title, hint } = element.dataset;
      element.title = heeds ? `${title} (${hint})` : title;
    }
  }

  close() {
    this.signal.abort();
  }

  /** Show the viewer's state on every control. */
  refresh() {
    for (const control of this.controls) {
      const { mode, toggle, setting } = control.dataset;
      if (mode) press(control, this.viewer.mode === mode);
      if (toggle) press(control, this.viewer.isOn(toggle));
      if (setting) show(control, this.viewer.heat[setting]);
    }
  }

  /** Whether the controls of a group (`data-group`) can do anything. */
  enable(group, possible) {
    for (const control of this.controls) {
      if (control.closest(`[data-group="${group}"]`)) control.disabled = !possible;
    }
  }

  /**
   * @param {string} key as `shortcut` gives it
   * @returns {boolean} whether a control answers to it
   */
  press(key) {
    const found = this.shortcuts.get(key);
    if (!found || found.control.disabled) return false;
    const { control, second } = found;
    if (control.tagName === "SELECT") {
      control.selectedIndex = (control.selectedIndex + 1) % control.options.length;
    } else if (control.type === "range") {
      if (second) control.stepUp();
      else control.stepDown();
    }
    this.#use(control);
    return true;
  }

  #use(control) {
    const { mode, action, toggle, setting } = control.dataset;
    if (mode) this.viewer.setMode(mode);
    if (action) this.viewer.act(action);
    if (toggle) this.viewer.toggle(toggle);
    if (setting) this.viewer.set(setting, control.type === "range" ? Number(control.value) / 100 : control.value);
  }
}

/** How a key press is written in `aria-keyshortcuts`: letters with their Shift, signs as they are typed. */
export function shortcut({ key, shiftKey }) {
  if (key === "+") return "PLUS";
  const letter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  return `${shiftKey && letter ? "SHIFT+" : ""}${key.toUpperCase()}`;
}

function readShortcuts(controls) {
  const shortcuts = new Map();
  for (const control of controls) {
    const keys = (control.dataset.keys ?? "").toUpperCase().split(" ");
    keys.filter(Boolean).forEach((key, place) => shortcuts.set(key, { control, second: place === 1 }));
  }
  return shortcuts;
}

function press(control, pressed) {
  const word = control.hasAttribute("aria-expanded") ? "aria-expanded" : "aria-pressed";
  control.setAttribute(word, String(pressed));
}

function show(control, value) {
  if (control.type !== "range") {
    control.value = value;
    return;
  }
  const percent = Math.round(value * 100);
  control.value = String(percent);
  control.setAttribute("aria-valuetext", `${percent} %`);
}

/** One Tab stop for a row of buttons; arrow keys, Home and End move inside it. */
function rove(bar, options) {
  const buttons = [...bar.querySelectorAll("button")];
  const settle = (chosen) => {
    for (const button of buttons) button.tabIndex = button === chosen ? 0 : -1;
  };
  settle(buttons[0]);
  bar.addEventListener("focusin", (event) => settle(event.target.closest("button")), options);
  bar.addEventListener("keydown", (event) => {
    const usable = buttons.filter((button) => !button.disabled && button.offsetParent);
    const at = usable.indexOf(event.target.closest("button"));
    const next = {
      ArrowRight: (at + 1) % usable.length,
      ArrowLeft: (at - 1 + usable.length) % usable.length,
      Home: 0,
      End: usable.length - 1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    usable[next].focus();
  }, options);
}
