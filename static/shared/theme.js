// Runs before the first paint, so that a remembered appearance never flashes the other one, and before any key is heard.
(() => {
  const root = document.documentElement;
  root.dataset.script = "";
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("sidebar") === "closed") root.dataset.sidebar = "closed";
    if (localStorage.getItem("single-keys") === "off") root.dataset.singleKeys = "off";
  } catch {
    // Storage is refused (private mode, policy): follow the system.
  }
})();
