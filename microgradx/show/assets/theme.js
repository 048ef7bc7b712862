// Light and dark: the reader's choice, or else the notebook's theme, or else the system's.

"use strict";

let chosenTheme = storedTheme();
let notebookTheme = null;

// Stored if the browser allows it; in the frame of a notebook it does not.
function storedTheme(theme) {
  try {
    if (theme) localStorage.setItem("theme", theme);
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function applyTheme() {
  const { dataset } = document.documentElement;
  const theme = chosenTheme ?? notebookTheme;
  if (theme) dataset.theme = theme;
  else delete dataset.theme;
}

function switchTheme() {
  const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  chosenTheme = (chosenTheme ?? notebookTheme ?? preferred) === "dark" ? "light" : "dark";
  storedTheme(chosenTheme);
  applyTheme();
}

// The notebook around the frame of a page tells it the theme (notebooks.py).
addEventListener("message", ({ source, data }) => {
  if (source !== parent || parent === window) return;
  notebookTheme = ["light", "dark"].includes(data?.theme) ? data.theme : null;
  applyTheme();
});

applyTheme();
document.getElementById("theme").addEventListener("click", switchTheme);
