// The graph beside the steps: what a value or a gradient passes, and what is known by then.

"use strict";

// Gives a function that marks nodes and arrows, and shows in the boxes what is known so far.
function journeyIn(graph, boxes) {
  const view = zoomable(graph);
  let least = 0.9; // pixels per unit at the start, for a large graph to be readable
  const known = Object.entries(boxes)
    .map(([id, since]) => ({ box: document.getElementById(id), ...since }))
    .filter(({ box }) => box);
  for (const { box } of known) splitBox(box);
  for (const edge of graph.querySelectorAll(".edge")) addArrowAgainst(edge);

  // `ids` are what is passed on the way, at the step at `place`, whose result may be hidden.
  return function travel(ids, place, isHidden) {
    for (const passed of graph.querySelectorAll(".now")) passed.classList.remove("now");
    const way = ids.map((id) => document.getElementById(id)).filter(Boolean);
    for (const passed of way) passed.classList.add("now");
    view.reveal(way, least);
    least = 0; // from now on as the reader has it
    for (const { box, value = 0, gradient = 0 } of known) {
      box.classList.toggle("before-value", place < value);
      box.classList.toggle("before-gradient", place < gradient + (place === gradient && isHidden));
    }
  };
}

// A box shows its value and its gradient when they are known. So its text is told apart, by where
// it stands: the title is on the first line, and the gradient from the line on that begins so.
function splitBox(box) {
  const parts = [...box.children];
  const label = parts.slice(parts.findIndex(({ tagName }) => tagName === "text"));
  const heightOf = (part) => Number(part.getAttribute("y") ?? part.points?.[0].y);
  const title = heightOf(label[0]);
  const names = label.filter((part) => part.textContent.trim() === "gradient").map(heightOf);
  const gradient = names.length && names.at(-1) > title ? names.at(-1) : Infinity;
  const spacing = 6; // less than a line, more than the parts of a line differ by
  for (const part of label) {
    const height = heightOf(part);
    if (height > gradient - spacing) part.classList.add("gradient");
    else if (height > title + spacing) part.classList.add("value");
  }
}

// Gradients run against the arrows. For them each gets a line to the tip, with a head at its start.
function addArrowAgainst(edge) {
  const [path, head] = [edge.querySelector("path"), edge.querySelector("polygon")];
  if (!path || !head) return;
  const tip = head.points[1];
  const line = path.cloneNode();
  line.setAttribute("d", `${path.getAttribute("d")} L${tip.x},${tip.y}`);
  line.classList.add("against");
  path.after(line);
}
