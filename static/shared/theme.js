// Applies the remembered appearance before the first paint, so that no page flashes in the other theme, and whether
// single keys are shortcuts. No module, because modules run after the first paint; portal.js and keys.js remember.
(() => {
  const root = document.documentElement;
  root.dataset.script = "";
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("sidebar") === "closed") root.dataset.sidebar = "closed";
    if (localStorage.getItem("single-keys") === "off") root.dataset.singleKeys = "off";
  } catch {
    // The browser refuses storage: follow the system.
  }
})();
