// The graph beside the steps: the path of a value or gradient, and the values known so far.

"use strict";

// Returns a function that marks a path, and shows in the boxes what is known so far.
function trackPath(graph, boxes) {
  const view = zoomable(graph, 0.9);
  const known = Object.entries(boxes)
    .map(([id, since]) => ({ box: document.getElementById(id), ...since }))
    .filter(({ box }) => box);
  for (const { box } of known) splitBox(box);
  for (const each of known) each.shapes = shapesOf(each.box);
  for (const edge of graph.querySelectorAll(".edge")) addReverseArrow(edge);

  // `ids` are the nodes and arrows of the path at the step `position`, whose result may be hidden.
  return function showPath(ids, position, isHidden) {
    for (const part of graph.querySelectorAll(".now")) part.classList.remove("now");
    const path = ids.map((id) => document.getElementById(id)).filter(Boolean);
    for (const part of path) part.classList.add("now");
    view.reveal(path);
    for (const { box, shapes, value = 0, gradient = 0, notFinite = [], colours } of known) {
      const isBefore = {
        value: position < value,
        gradient: position < gradient + (position === gradient && isHidden),
      };
      box.classList.toggle("before-value", isBefore.value);
      box.classList.toggle("before-gradient", isBefore.gradient);
      if (colours) paintBox(shapes, notFinite.every((part) => isBefore[part]) && colours);
    }
  };
}

// A box shows its value and its gradient once they are known. They are told apart by position: the
// title is on the first line, and the gradient starts on the line that begins with "gradient".
function splitBox(box) {
  const parts = [...box.children];
  const label = parts.slice(parts.findIndex(({ tagName }) => tagName === "text"));
  const heightOf = (part) => Number(part.getAttribute("y") ?? part.points?.[0].y);
  const title = heightOf(label[0]);
  const names = label.filter((part) => part.textContent.trim() === "gradient").map(heightOf);
  const gradient = names.length && names.at(-1) > title ? names.at(-1) : Infinity;
  const spacing = 6; // less than between lines, more than within a line
  for (const part of label) {
    const height = heightOf(part);
    if (height > gradient - spacing) part.classList.add("gradient");
    else if (height > title + spacing) part.classList.add("value");
  }
}

// The shapes of a box, with the colours in which they are drawn.
function shapesOf(box) {
  return [...box.querySelectorAll(":scope > :is(path, polygon):not(text ~ *)")].map((shape) => {
    const [fill, stroke] = ["fill", "stroke"].map((name) => shape.getAttribute(name));
    return { shape, fill, stroke };
  });
}

// Paints a box in other colours if there are any, as one is red only once its NaN is known.
function paintBox(shapes, others) {
  for (const { shape, fill, stroke } of shapes) {
    if (fill !== "none") shape.setAttribute("fill", others ? others[0] : fill);
    shape.setAttribute("stroke", others ? others[1] : stroke);
  }
}

// Gradients run against the arrows: each arrow gets a second line, with a head at its start.
function addReverseArrow(edge) {
  const [path, head] = [edge.querySelector("path"), edge.querySelector("polygon")];
  if (!path || !head) return;
  const tip = head.points[1];
  const line = path.cloneNode();
  line.setAttribute("d", `${path.getAttribute("d")} L${tip.x},${tip.y}`);
  line.classList.add("against");
  path.after(line);
}
