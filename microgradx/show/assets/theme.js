// Light and dark: what the reader chose, and else what the system prefers.

"use strict";

// Kept where the browser allows it, which in a notebook's frame it does not.
function remembered(theme) {
  try {
    if (theme) localStorage.setItem("theme", theme);
    return localStorage.getItem("theme");
  } catch {
    return theme;
  }
}

function switchTheme() {
  const { dataset } = document.documentElement;
  const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  dataset.theme = (dataset.theme ?? preferred) === "dark" ? "light" : "dark";
  remembered(dataset.theme);
}

if (remembered()) document.documentElement.dataset.theme = remembered();
document.getElementById("theme").addEventListener("click", switchTheme);
