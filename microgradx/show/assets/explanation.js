// Steps through a computation: forward, then backward, in the engine's order.

"use strict";

const root = document.documentElement;
root.classList.add("interactive");

const byId = (id) => document.getElementById(id);
const panel = byId("step");
const { steps, visits, tensors, boxes } = inflateData(JSON.parse(byId("data").textContent));
const graph = document.querySelector(".graph");
const showPath = trackPath(graph, boxes);
const hasSums = steps.some(({ sum }) => sum);

let current = 0; // the position in `steps`
let step = steps[0];
let chosen = []; // the index of the chosen element of the step's value

// ---------------------------------------------------------------------- going to a step

function show(position) {
  current = Math.max(0, Math.min(steps.length - 1, position));
  step = steps[current];
  const { kept } = step.value;
  if (chosen.length !== kept.length || !isKept(step.value, chosen)) chosen = kept.map(() => 0);
  const direction = step.kind === "forward" ? "forward" : "backward";
  root.dataset.direction = direction;
  byId("where").textContent = `Step ${current + 1} of ${steps.length} · ${direction}`;
  byId("title").textContent = step.title;
  byId("equation").replaceChildren(element("span", "", ...step.equation.map(typesetLabel)));
  byId("formula").textContent = step.formula;
  byId("guess").value = "";
  byId("verdict").textContent = "";
  byId("scrubber").value = current + 1;
  byId("scrubber").setAttribute("aria-valuetext", `${current + 1}, ${direction}, ${step.title}`);
  byId("back").disabled = current === 0;
  byId("on").disabled = current === steps.length - 1;
  // In the frame of a notebook, a page has no address to link to.
  if (location.protocol !== "about:") history.replaceState(null, "", `#step=${current + 1}`);
  draw();
  announce();
}

function showLinked() {
  const linked = /^#step=(\d+)$/.exec(location.hash);
  show(linked ? Number(linked[1]) - 1 : 0);
}

// Also called when the window is resized, and when numbers are hidden or shown.
function draw() {
  byId("sentence").textContent = step.sentence;
  drawNumbers();
  drawArrays();
  drawBars();
  drawOutlines();
  showPath(step.nodes, current, isHidden());
}

// What a screen reader reads aloud.
function announce() {
  const text = (id) => byId(id).textContent;
  const numbers = `${text("element")}: ${text("numbers")}${text("answer")}`;
  const said = [text("where"), text("sentence"), numbers, text("verdict"), text("contribution")];
  byId("announcement").textContent = said.filter(Boolean).join(" ");
}

// ---------------------------------------------------------------------- numbers

// The formulas with the numbers of the chosen element.
function drawNumbers() {
  const { derivation, value, local, localFormula, localDerivation, contribution, sum } = step;
  const isEmpty = value.values.length === 0;
  const numbers = derivation && !isEmpty ? substituteNumbers(derivation, chosen) : "";
  const result = isEmpty ? "" : numberAt(value, chosen);
  byId("element").textContent = isEmpty ? "no elements" : `element ${formatIndex(chosen)}`;
  if (!chosen.length) byId("element").textContent = "in numbers";
  byId("numbers").textContent = numbers && numbers !== result ? `${numbers} = ` : "";
  byId("answer").textContent = isHidden() ? "" : result;
  markAlarm(byId("answer"));
  byId("question").hidden = !isHidden();
  byId("local-label").hidden = !local;
  byId("local").textContent = "";
  if (local) {
    const inNumbers = localDerivation && !isEmpty && substituteNumbers(localDerivation, chosen);
    byId("local").textContent = equation(localFormula, inNumbers, !isEmpty && numberAt(local, chosen));
  }
  byId("contribution").textContent = contribution;
  byId("contribution").classList.toggle("quiet", !sum);
  if (sum && !isEmpty && !isHidden()) {
    const inNumbers = sum.derivation && substituteNumbers(sum.derivation, chosen);
    const total = equation(inNumbers, numberAt(sum.total, chosen));
    byId("contribution").textContent += `: ${total}`;
  }
}

// An equation of all sides that are not empty and differ.
function equation(...sides) {
  return [...new Set(sides.filter(Boolean))].join(" = ");
}

function numberAt(array, index) {
  return formatElement(elementAt(array, index));
}

function formatIndex(index) {
  return index.length ? `[${index.join(", ")}]` : "";
}

// Reserves room for the longest sentence and the longest formula with numbers (except above bars,
// which need the room), so that nothing below moves.
function reserveLines() {
  const longest = (texts) => texts.reduce((one, two) => (one.length < two.length ? two : one));
  const first = ({ derivation, value }) =>
    derivation ? substituteNumbers(derivation, value.kept.map(() => 0)) : "";
  const numbers = `${longest(steps.map(first))} = -1.234e-05`;
  root.dataset.formulas = numbers.length > 150 ? "long" : "short";
  reserve("sentence", longest(steps.map(({ sentence }) => sentence)));
  reserve("numbers", numbers);
}

function reserve(id, text) {
  const property = `--reserved-for-${id}`;
  root.style.removeProperty(property);
  byId(id).textContent = text;
  const { height } = byId(id).closest("p, dd").getBoundingClientRect();
  root.style.setProperty(property, `${height}px`);
}

// ---------------------------------------------------------------------- arrays

function drawArrays() {
  panel.classList.toggle("with-bars", Boolean(step.bars));
  const classes = step.bars ? Math.min(step.bars.logits.kept[1], maxClasses) : 0;
  const below = classes ? 19 * (classes + 4) : hasSums ? 150 : 0;
  const around = byId("arrays").offsetTop + 130; // the height above the cells, and just below
  const height = Math.max(80, panel.clientHeight - around - below);
  drawRow(byId("arrays"), step.row, height, { isHidden: isHidden() });
  drawRow(byId("sum"), step.sum ? step.sum.row : [], 75, { alike: true, isHidden: isHidden() });
  byId("arrays").querySelector(".array:last-child .heat").tabIndex = 0; // the result
}

// Outlines the chosen element, and the elements that it is computed from.
function drawOutlines() {
  const from = step.derivation ? sources[step.derivation.kind](step.derivation, chosen) : [];
  const result = [step.value, [chosen]];
  const added = step.sum ? step.sum.row.filter(({ array }) => array).map(({ array }) => [array, [chosen]]) : [];
  const rows = { arrays: [...from, result], sum: added };
  for (const [id, pairs] of Object.entries(rows)) {
    for (const map of byId(id).querySelectorAll(".heat")) {
      // An array that appears twice is an operand twice, each time with other elements.
      const pair = pairs.findIndex(([{ values }]) => values === map.array.values);
      const [[array, indices]] = pair < 0 ? [[map.array, []]] : pairs.splice(pair, 1);
      const kept = indices.filter((index) => isKept(array, index));
      outlineCells(map, new Set(kept.map((index) => ravelIndex(array.kept, index))));
    }
  }
}

function choose(index) {
  chosen = index;
  drawNumbers();
  drawOutlines();
  announce();
}

// The array and index of the element under the target of an event, if any.
function elementUnder(target) {
  const cell = target.closest(".heat td");
  if (!cell) return null;
  const { array } = cell.closest(".heat");
  return { cell, array, index: unravelIndex(array.kept, Number(cell.dataset.position)) };
}

// Elements of other arrays can be chosen too, if these have the shape of the result.
panel.addEventListener("click", ({ target }) => {
  const meant = elementUnder(target);
  if (meant && meant.array.kept.join() === step.value.kept.join()) choose(meant.index);
});

panel.addEventListener("pointerover", ({ target }) => {
  if (target.closest(".hidden")) return;
  const meant = elementUnder(target);
  if (!meant) return;
  const { cell, array, index } = meant;
  cell.title = `${formatIndex(index)} ${numberAt(array, index)}`.trim();
});

// A click must not move the focus to a heat map, where the arrow keys choose elements.
panel.addEventListener("mousedown", (event) => {
  if (event.target.closest(".heat")) event.preventDefault();
});

panel.addEventListener("keydown", (event) => {
  if (!event.target.closest(".heat")) return;
  const ways = { ArrowLeft: [1, -1], ArrowRight: [1, 1], ArrowUp: [2, -1], ArrowDown: [2, 1] };
  const [fromLast, way] = ways[event.key] ?? [];
  if (!way) return;
  event.preventDefault(); // so the key does not change the step
  const next = chosen.map((i, axis) => (axis === chosen.length - fromLast ? i + way : i));
  if (next.every((i) => i >= 0) && isKept(step.value, next)) choose(next);
});

// ---------------------------------------------------------------------- bars

function drawBars() {
  byId("bars").hidden = !step.bars;
  if (!step.bars) return;
  const rows = step.bars.logits.kept[0];
  byId("row-picker").hidden = rows === 1;
  byId("row").max = rows - 1;
  const row = Math.max(0, Math.min(rows - 1, Math.round(byId("row").value)));
  byId("chart").replaceChildren(barChart(step.bars, row, isHidden()));
}

byId("row").addEventListener("input", drawBars);

// ---------------------------------------------------------------------- predicting

let isPredicting = false;
const guessed = new Set(); // positions of steps

// Whether the result of the current step has yet to be guessed.
function isHidden() {
  const canGuess = ["backward", "sum"].includes(step.kind) && step.value.values.length > 0;
  return isPredicting && canGuess && !guessed.has(current);
}

function predict() {
  isPredicting = !isPredicting;
  byId("predict").setAttribute("aria-pressed", isPredicting);
  show(current);
  if (isHidden()) byId("guess").focus();
}

function judgeGuess(guess, truth) {
  const [error, size] = [Math.abs(guess - truth), Math.abs(truth)];
  if (error <= 0.01 * size || Object.is(guess, truth)) return "right";
  if (error <= 0.1 * size) return "close";
  return Math.abs(guess + truth) <= 0.1 * size ? "right but for the sign" : "not quite";
}

byId("question").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = byId("guess").value.trim().replace(",", ".").replace("−", "-");
  const guess = Number(typed);
  if (typed === "" || Number.isNaN(guess)) return byId("guess").select();
  guessed.add(current);
  show(current);
  const verdict = judgeGuess(guess, elementAt(step.value, chosen));
  byId("verdict").textContent = `${verdict}: you said ${typed}`;
  announce();
});

byId("predict").addEventListener("click", predict);

// ---------------------------------------------------------------------- playing

let timer = 0; // not 0 while playing

function play() {
  if (current === steps.length - 1) show(0);
  schedule();
}

function schedule() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    show(current + 1);
    if (current === steps.length - 1 || isHidden()) pause();
    else schedule();
  }, 2000 / byId("speed").value);
  drawPlay();
}

function pause() {
  clearTimeout(timer);
  timer = 0;
  drawPlay();
}

function drawPlay() {
  byId("play").textContent = timer ? "❚❚" : "▶";
  byId("play").setAttribute("aria-label", timer ? "Pause" : "Play");
}

// ---------------------------------------------------------------------- controls

function goTo(position) {
  pause();
  show(position);
}

const keys = {
  ArrowLeft: () => goTo(current - 1),
  ArrowRight: () => goTo(current + 1),
  Home: () => goTo(0),
  End: () => goTo(steps.length - 1),
  " ": () => (timer ? pause() : play()),
  "/": () => byId("search").focus(),
  p: predict,
  d: switchTheme,
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select") || !(event.key in keys)) return;
  if (event.key === " " && event.target.closest("button, summary")) return;
  event.preventDefault();
  keys[event.key]();
});

byId("scrubber").max = steps.length;
byId("scrubber").addEventListener("input", () => goTo(byId("scrubber").value - 1));
byId("back").addEventListener("click", () => goTo(current - 1));
byId("on").addEventListener("click", () => goTo(current + 1));
byId("play").addEventListener("click", keys[" "]);
byId("speed").addEventListener("change", () => timer && schedule());
addSearch(byId("search"), byId("found"), tensors, goTo);

// A click on a node goes to its first step, further clicks to the next ones.
graph.addEventListener("click", ({ target }) => {
  const positions = visits[target.closest(".node")?.id];
  if (positions) goTo(positions[(positions.indexOf(current) + 1) % positions.length]);
});

const forward = steps.filter(({ kind }) => kind === "forward").length;
root.style.setProperty("--forward-share", forward / steps.length);
byId("backward").hidden = forward === steps.length;
addEventListener("hashchange", showLinked);

// The frame of a notebook may get its size later. The controls are as wide as the page, and not
// changed by what is drawn.
let laidOutFor = "";
function layOut() {
  const size = `${innerWidth} × ${innerHeight}`;
  if (size === laidOutFor) return;
  laidOutFor = size;
  reserveLines();
  draw();
}
addEventListener("resize", layOut);
new ResizeObserver(layOut).observe(document.querySelector(".transport"));
reserveLines();
showLinked();
