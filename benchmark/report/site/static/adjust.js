"use strict";
// Contrast and gamma of all images of a page, by one SVG filter; several sets of controls act as one.
(() => {
  const START = { black: 0, white: 255, gamma: 1 };
  const now = { ...START };
  const inputs = [...document.querySelectorAll("input[data-adjust]")];

  const apply = () => {
    // Black stays below white, however the two are moved.
    const black = Math.min(now.black, now.white - 1), slope = 255 / (now.white - black);
    for (const part of document.getElementById("f-range").children) {
      part.setAttribute("slope", slope);
      part.setAttribute("intercept", -slope * black / 255);
    }
    for (const part of document.getElementById("f-gamma").children) part.setAttribute("exponent", now.gamma);
    const changed = Object.keys(START).some((name) => now[name] !== START[name]);
    document.documentElement.classList.toggle("adjusted", changed);
    for (const input of inputs) input.value = now[input.dataset.adjust];
  };

  for (const input of inputs) {
    input.addEventListener("input", () => { now[input.dataset.adjust] = Number(input.value); apply(); });
  }
  for (const button of document.querySelectorAll("button[data-adjust]")) {
    button.addEventListener("click", () => { Object.assign(now, START); apply(); });
  }
})();
