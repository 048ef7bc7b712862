// Arrays as tables of small coloured cells.

"use strict";

const smallCell = 8; // in pixels: cells of this size or less touch
const minCell = 3; // in pixels: arrays of smaller cells are not put side by side
const longRow = 32; // a longer vector continues in the next row

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

// The cells of an array in a plane: the last axis to the right, the one before it down, slices along
// the axis before these side by side, and all others below each other.
function arrangeCells(shape) {
  if (shape.length === 1 && shape[0] > longRow) {
    const position = (r, c) => r * longRow + c;
    return { rows: Math.ceil(shape[0] / longRow), columns: longRow, position };
  }
  const [across, height, width] = [1, 1, 1, ...shape].slice(-3);
  const position = (r, c) => {
    const slice = Math.floor(r / height) * across + Math.floor(c / width);
    return (slice * height + (r % height)) * width + (c % width);
  };
  const rows = product(shape.slice(0, -3)) * height;
  return { rows, columns: across * width, height, width, position };
}

// The largest finite magnitude, which has the strongest colour.
function largestOf(values) {
  return values.reduce((largest, value) => {
    const magnitude = Math.abs(value);
    return magnitude > largest && magnitude < Infinity ? magnitude : largest;
  }, 0);
}

// A function that formats the numbers of an array for its cells: briefly, with equal decimals.
function cellFormat(values) {
  if (values.every((value) => Number.isInteger(value) && Math.abs(value) < 1e5)) return String;
  const decimals = 2 - Math.floor(Math.log10(largestOf(values)));
  if (!(decimals >= 0 && decimals <= 4)) return (value) => formatNumber(value, 2);
  const withoutSign = (text) => text.replace(/^-(0\.?0*)$/, "$1"); // if rounded to 0
  return (value) =>
    Number.isFinite(value) ? withoutSign(value.toFixed(decimals)) : formatNumber(value);
}

// The size of the cells of all arrays in a row, in pixels, so that equal axes look equal: with room
// for numbers if they fit, else as large as possible.
function cellSize(arrays, columns, room) {
  const rows = Math.max(1, ...arrays.map(({ kept }) => arrangeCells(kept).rows));
  const [across, down] = [room.width / columns, room.height / rows];
  if (columns * rows < 500) {
    const texts = arrays.flatMap(({ values }) => Array.from(values, cellFormat(values)));
    const width = Math.max(34, 6 * Math.max(...texts.map((text) => text.length)) + 10);
    if (across >= width && down >= 24) {
      return { width: Math.min(across, Math.max(width, 56)), height: 26, hasNumbers: true };
    }
  }
  const side = Math.max(2, Math.floor(Math.min(across, down, 26)));
  return { width: side, height: side };
}

// The table of an array's cells. `largest` has the strongest colour; `hidden` shows no values.
function heatMap(array, { size, largest, hidden }) {
  const { kept, values } = array;
  const { rows, columns, height, width, position } = arrangeCells(kept);
  const isSingle = values.length === 1;
  const write = isSingle ? formatNumber : cellFormat(values);
  const table = element("table", isSingle ? "heat single" : "heat");
  table.array = array;
  table.style.setProperty("--width", `${size.width}px`);
  table.style.setProperty("--height", `${size.height}px`);
  table.classList.toggle("hidden", hidden);
  table.classList.toggle("dense", size.height <= smallCell);
  for (let r = 0; r < rows; r++) {
    const row = table.insertRow();
    for (let c = 0; c < columns && position(r, c) < values.length; c++) {
      const cell = row.insertCell();
      const value = values[position(r, c)];
      cell.dataset.position = position(r, c);
      cell.classList.toggle("beside", c > 0 && c % width === 0);
      cell.classList.toggle("below", r > 0 && r % height === 0);
      if (hidden) continue;
      if (isSingle || size.hasNumbers) cell.textContent = write(value);
      if (isSingle) markAlarm(cell);
      if (isSingle) continue; // a single value would always have the strongest colour
      cell.style.background = heatColour(value, largest);
      const isStrong = Math.abs(value) > 0.65 * largest || !Number.isFinite(value);
      cell.classList.toggle("strong", isStrong);
    }
  }
  return table;
}

// Outlines the cells at some positions of an array: together if they are a block, else each alone.
function outlineCells(table, positions) {
  const wrapper = table.parentElement;
  for (const frame of wrapper.querySelectorAll(".outline")) frame.remove();
  const cells = [...table.querySelectorAll("td")].filter((cell) =>
    positions.has(Number(cell.dataset.position)),
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

// A legend of the colours.
function colourScale(largest) {
  const end = (value) => element("span", "", formatNumber(value, 3));
  return element("div", "scale", end(-largest), element("span", "colours"), end(largest));
}

// ---------------------------------------------------------------------- rows of arrays

// Draws arrays and the signs between them side by side into `container`. With `alike` they share a
// scale; with `isHidden`, the arrays that can be hidden are.
function drawRow(container, parts, height, { alike = false, isHidden = false } = {}) {
  const shown = parts.filter(({ array }) => array).map(({ array }) => array);
  const several = shown.filter(({ values }) => values.length > 1);
  const singles = shown.length - several.length;
  const signs = parts.length - shown.length;
  const columns = several.map(({ kept }) => arrangeCells(kept).columns);
  const width = container.clientWidth - 34 * several.length - 120 * singles - 44 * signs; // in pixels
  const isStacked = columns.length > 0 && width < minCell * sum(columns);
  const size = isStacked
    ? cellSize(several, Math.max(...columns), { width: container.clientWidth - 34, height })
    : cellSize(several, sum(columns), { width, height });
  container.classList.toggle("stacked", isStacked);
  container.classList.toggle("crowded", shown.length > 3);
  const largest = Math.max(...shown.map(({ values }) => largestOf(values)));
  const draw = (part) => {
    if (!part.array) return signBetween(part);
    const hidden = isHidden && Boolean(part.hides);
    return alike
      ? arrayFigure(part, { size, largest, hidden })
      : arrayFigure(part, { size, largest: largestOf(part.array.values), hidden, hasScale: !hidden });
  };
  container.replaceChildren(...parts.map(draw));
}

function signBetween({ sign, below }) {
  return element("div", "sign", element("span", "", sign), element("small", "", below));
}

function arrayFigure({ array, label, role }, { size, largest, hidden, hasScale }) {
  const map = heatMap(array, { size, largest, hidden });
  if (!size.hasNumbers && array.values.length > 1) map.setAttribute("role", "img");
  map.setAttribute("aria-label", describeArray(array, label, role, hidden));
  const made = element(
    "figure",
    "array",
    element("small", "", role),
    element("figcaption", "", label ? typesetLabel(label) : ""),
    element("div", "cells", map, ...axisLabels(array.shape)),
    element("small", "", formatShape(array)),
  );
  if (hasScale && array.shape.length) made.append(colourScale(largest));
  return made;
}

// A name in italics, or a derivative as a fraction; text as it is.
function typesetLabel(part) {
  if (typeof part === "string") return part;
  if ("name" in part) return element("var", "", part.name);
  const line = (name) => element("span", "", "∂", element("var", "", name));
  const fraction = element("span", "fraction", line(part.of), line(part.by));
  fraction.setAttribute("role", "img");
  fraction.setAttribute("aria-label", labelInWords(part));
  return fraction;
}

function labelInWords({ name, of, by }) {
  return name ?? `derivative of ${of} with respect to ${by}`;
}

function describeArray({ shape, values }, label, role, hidden) {
  const parts = [role, label && labelInWords(label)];
  if (shape.length) parts.push(`of shape ${shape.join(" by ")}`);
  const [least, greatest] = [Math.min(...values), Math.max(...values)].map((end) => formatNumber(end));
  if (hidden) parts.push("hidden until you have guessed");
  else if (values.length) parts.push(least === greatest ? least : `from ${least} to ${greatest}`);
  return parts.filter(Boolean).join(", ");
}

function formatShape({ shape, kept }) {
  const [whole, here] = [shape, kept].map((lengths) => lengths.join(" × "));
  return whole === here ? whole : `the first ${here} of ${whole}`;
}

function axisLabels({ length }) {
  const labels = [];
  if (length > 0) labels.push(element("small", "axis right", `axis ${length - 1} →`));
  if (length > 1) labels.push(element("small", "axis down", `axis ${length - 2} →`));
  return labels;
}
