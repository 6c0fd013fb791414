// Runs before the first paint, so that a remembered appearance never flashes the other one.
(() => {
  const root = document.documentElement;
  root.dataset.script = "";
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("rail") === "closed") root.dataset.rail = "closed";
  } catch {
    // Storage is refused (private mode, policy): follow the system.
  }
})();
