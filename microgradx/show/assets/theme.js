// Light and dark: the reader's choice, or else the system's preference.

"use strict";

// Stored if the browser allows it; in the frame of a notebook it does not.
function storedTheme(theme) {
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
  storedTheme(dataset.theme);
}

if (storedTheme()) document.documentElement.dataset.theme = storedTheme();
document.getElementById("theme").addEventListener("click", switchTheme);
