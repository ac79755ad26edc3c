"use strict";
// Light, dark, or as the system has it. Runs before the page is drawn, so that it does not flash.
(() => {
  const order = ["auto", "light", "dark"];
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  let theme = order.includes(remembered()) ? remembered() : "auto";
  const apply = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const name = document.getElementById("theme-name");
    if (name) {
      name.textContent = theme;
      document.getElementById("theme").setAttribute("aria-label", `Colours: ${theme}`);
    }
    document.dispatchEvent(new Event("themechange"));
  };
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      try { localStorage.setItem("theme", theme); } catch { /* a browser that keeps nothing */ }
      apply();
    });
  });
})();
