// Arrays as tables of small coloured cells.

"use strict";

const smallCell = 8; // in pixels: from here down, cells touch
const leastCell = 3; // in pixels: smaller ones are not put side by side
const longRow = 32; // of a longer vector, the elements go on in the next row

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

// How an array lies in the plane: the last axis to the right and the one before it down, slices
// along the axis before these beside one another, and all others below one another.
function plane(shape) {
  if (shape.length === 1 && shape[0] > longRow) {
    const place = (r, c) => r * longRow + c;
    return { rows: Math.ceil(shape[0] / longRow), columns: longRow, place };
  }
  const [across, height, width] = [1, 1, 1, ...shape].slice(-3);
  const place = (r, c) => {
    const slice = Math.floor(r / height) * across + Math.floor(c / width);
    return (slice * height + (r % height)) * width + (c % width);
  };
  const rows = product(shape.slice(0, -3)) * height;
  return { rows, columns: across * width, height, width, place };
}

// The largest of the finite magnitudes: it has the strongest colour.
function largestOf(values) {
  return values.reduce((largest, value) => {
    const magnitude = Math.abs(value);
    return magnitude > largest && magnitude < Infinity ? magnitude : largest;
  }, 0);
}

// How the numbers of an array are written in its cells: briefly, and with as many decimals each.
function brief(values) {
  if (values.every((value) => Number.isInteger(value) && Math.abs(value) < 1e5)) return String;
  const decimals = 2 - Math.floor(Math.log10(largestOf(values)));
  if (!(decimals >= 0 && decimals <= 4)) return (value) => formatted(value, 2);
  const withoutSign = (text) => text.replace(/^-(0\.?0*)$/, "$1"); // of what is rounded to 0
  return (value) =>
    Number.isFinite(value) ? withoutSign(value.toFixed(decimals)) : formatted(value);
}

// One size of cells, in pixels, for all arrays in a row, so that axes of equal lengths look equal:
// with numbers where these fit, else as large as fits.
function cellSize(arrays, columns, room) {
  const rows = Math.max(1, ...arrays.map(({ kept }) => plane(kept).rows));
  const [across, down] = [room.width / columns, room.height / rows];
  if (columns * rows < 500) {
    const texts = arrays.flatMap(({ values }) => Array.from(values, brief(values)));
    const width = Math.max(34, 6 * Math.max(...texts.map((text) => text.length)) + 10);
    if (across >= width && down >= 24) {
      return { width: Math.min(across, Math.max(width, 56)), height: 26, hasNumbers: true };
    }
  }
  const side = Math.max(2, Math.floor(Math.min(across, down, 26)));
  return { width: side, height: side };
}

// The table of an array's cells. `largest` has the strongest colour; `hidden` keeps all back.
function heatMap(array, { size, largest, hidden }) {
  const { kept, values } = array;
  const { rows, columns, height, width, place } = plane(kept);
  const isSingle = values.length === 1;
  const write = isSingle ? formatted : brief(values);
  const table = element("table", isSingle ? "heat single" : "heat");
  table.array = array;
  table.style.setProperty("--width", `${size.width}px`);
  table.style.setProperty("--height", `${size.height}px`);
  table.classList.toggle("hidden", hidden);
  table.classList.toggle("dense", size.height <= smallCell);
  for (let r = 0; r < rows; r++) {
    const row = table.insertRow();
    for (let c = 0; c < columns && place(r, c) < values.length; c++) {
      const cell = row.insertCell();
      const value = values[place(r, c)];
      cell.dataset.place = place(r, c);
      cell.classList.toggle("beside", c > 0 && c % width === 0);
      cell.classList.toggle("below", r > 0 && r % height === 0);
      if (hidden) continue;
      if (isSingle || size.hasNumbers) cell.textContent = write(value);
      if (isSingle) continue; // alone, it would have the strongest colour whatever it is
      cell.style.background = heat(value, largest);
      cell.classList.toggle("strong", Math.abs(value) > 0.65 * largest);
    }
  }
  return table;
}

// Frames the cells at some places of an array: together if they are a block, else each alone.
function outline(table, places) {
  const wrapper = table.parentElement;
  for (const frame of wrapper.querySelectorAll(".outline")) frame.remove();
  const cells = [...table.querySelectorAll("td")].filter((cell) =>
    places.has(Number(cell.dataset.place)),
  );
  if (!cells.length) return;
  const extent = (numbers) => Math.max(...numbers) - Math.min(...numbers) + 1;
  const rows = extent(cells.map((cell) => cell.parentElement.rowIndex));
  const columns = extent(cells.map((cell) => cell.cellIndex));
  const isBlock = rows * columns === cells.length;
  const corners = isBlock ? [[cells[0], cells.at(-1)]] : cells.map((cell) => [cell, cell]);
  for (const [first, last] of corners) {
    const frame = element("div", "outline");
    const [left, top] = [first.offsetLeft, first.offsetTop];
    frame.style.left = `${table.offsetLeft + left}px`;
    frame.style.top = `${table.offsetTop + top}px`;
    frame.style.width = `${last.offsetLeft + last.offsetWidth - left}px`;
    frame.style.height = `${last.offsetTop + last.offsetHeight - top}px`;
    wrapper.append(frame);
  }
}

// Which colour is which number.
function scale(largest) {
  const end = (value) => element("span", "", formatted(value, 3));
  return element("div", "scale", end(-largest), element("span", "colours"), end(largest));
}

// ---------------------------------------------------------------------- rows of arrays

// Arrays and the signs between them, side by side in `place`. Those that are `alike` share a scale;
// `isHidden` says whether those that hide shall.
function drawRow(place, parts, height, { alike = false, isHidden = false } = {}) {
  const shown = parts.filter(({ of }) => of).map(({ of }) => of);
  const several = shown.filter(({ values }) => values.length > 1);
  const singles = shown.length - several.length;
  const signs = parts.length - shown.length;
  const columns = several.map(({ kept }) => plane(kept).columns);
  const width = place.clientWidth - 34 * several.length - 120 * singles - 44 * signs; // in pixels
  const isStacked = columns.length > 0 && width < leastCell * sum(columns);
  const size = isStacked
    ? cellSize(several, Math.max(...columns), { width: place.clientWidth - 34, height })
    : cellSize(several, sum(columns), { width, height });
  place.classList.toggle("stacked", isStacked);
  place.classList.toggle("crowded", shown.length > 3);
  const largest = Math.max(...shown.map(({ values }) => largestOf(values)));
  const draw = (part) => {
    if (!part.of) return signBetween(part);
    const hidden = isHidden && Boolean(part.hides);
    return alike
      ? picture(part, { size, largest, hidden })
      : picture(part, { size, largest: largestOf(part.of.values), hidden, hasScale: !hidden });
  };
  place.replaceChildren(...parts.map(draw));
}

function signBetween({ sign, below }) {
  return element("div", "sign", element("span", "", sign), element("small", "", below));
}

function picture({ of: array, symbol, role }, { size, largest, hidden, hasScale }) {
  const map = heatMap(array, { size, largest, hidden });
  if (!size.hasNumbers && array.values.length > 1) map.setAttribute("role", "img");
  map.setAttribute("aria-label", described(array, symbol, role, hidden));
  const made = element(
    "figure",
    "picture",
    element("small", "", role),
    element("figcaption", "", symbol ? typeset(symbol) : ""),
    element("div", "cells", map, ...axisLabels(array.shape)),
    element("small", "", shapeText(array)),
  );
  if (hasScale && array.shape.length) made.append(scale(largest));
  return made;
}

// A name in italics, or a derivative as a fraction; text as it is.
function typeset(part) {
  if (typeof part === "string") return part;
  if ("name" in part) return element("var", "", part.name);
  const line = (name) => element("span", "", "∂", element("var", "", name));
  const fraction = element("span", "fraction", line(part.of), line(part.by));
  fraction.setAttribute("role", "img");
  fraction.setAttribute("aria-label", inWords(part));
  return fraction;
}

function inWords({ name, of, by }) {
  return name ?? `derivative of ${of} with respect to ${by}`;
}

function described({ shape, values }, symbol, role, hidden) {
  const parts = [role, symbol && inWords(symbol)];
  if (shape.length) parts.push(`of shape ${shape.join(" by ")}`);
  const [least, greatest] = [Math.min(...values), Math.max(...values)].map((end) => formatted(end));
  if (hidden) parts.push("hidden until you have guessed");
  else if (values.length) parts.push(least === greatest ? least : `from ${least} to ${greatest}`);
  return parts.filter(Boolean).join(", ");
}

function shapeText({ shape, kept }) {
  const [whole, here] = [shape, kept].map((lengths) => lengths.join(" × "));
  return whole === here ? whole : `the first ${here} of ${whole}`;
}

function axisLabels({ length }) {
  const labels = [];
  if (length > 0) labels.push(element("small", "axis right", `axis ${length - 1} →`));
  if (length > 1) labels.push(element("small", "axis down", `axis ${length - 2} →`));
  return labels;
}
