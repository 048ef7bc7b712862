// Steps through a computation: forward, and then backward, in the order that the engine takes.

"use strict";

const root = document.documentElement;
root.classList.add("interactive");

const at = (id) => document.getElementById(id);
const panel = at("step");
const { steps, visits, found, boxes } = inflated(JSON.parse(at("data").textContent));
const graph = document.querySelector(".graph");
const travel = journeyIn(graph, boxes);
const hasSums = steps.some(({ sum }) => sum);

let current = 0; // a place in `steps`
let step = steps[0];
let chosen = []; // the index of an element of what the step gives

// ---------------------------------------------------------------------- going to a step

function show(place) {
  current = Math.max(0, Math.min(steps.length - 1, place));
  step = steps[current];
  const { kept } = step.value;
  if (chosen.length !== kept.length || !isKept(step.value, chosen)) chosen = kept.map(() => 0);
  const direction = step.kind === "forward" ? "forward" : "backward";
  root.dataset.direction = direction;
  at("where").textContent = `Step ${current + 1} of ${steps.length} · ${direction}`;
  at("title").textContent = step.title;
  at("equation").replaceChildren(element("span", "", ...step.equation.map(typeset)));
  at("formula").textContent = step.formula;
  at("guess").value = "";
  at("verdict").textContent = "";
  at("scrubber").value = current + 1;
  at("scrubber").setAttribute("aria-valuetext", `${current + 1}, ${direction}, ${step.title}`);
  at("back").disabled = current === 0;
  at("on").disabled = current === steps.length - 1;
  // A page in a notebook's frame has no address that could be linked to.
  if (location.protocol !== "about:") history.replaceState(null, "", `#step=${current + 1}`);
  draw();
  announce();
}

function showLinked() {
  const linked = /^#step=(\d+)$/.exec(location.hash);
  show(linked ? Number(linked[1]) - 1 : 0);
}

// What changes with the size of the window, or when numbers are hidden, too.
function draw() {
  at("sentence").textContent = step.sentence;
  drawNumbers();
  drawArrays();
  drawBars();
  drawOutlines();
  travel(step.nodes, current, isHidden());
}

// What a screen reader says of a step.
function announce() {
  const text = (id) => at(id).textContent;
  const numbers = `${text("element")}: ${text("numbers")}${text("answer")}`;
  const said = [text("where"), text("sentence"), numbers, text("verdict"), text("contribution")];
  at("announcement").textContent = said.filter(Boolean).join(" ");
}

// ---------------------------------------------------------------------- numbers

// The formulas, with the numbers of the chosen element in them.
function drawNumbers() {
  const { how, value, local, localFormula, localHow, contribution, sum } = step;
  const isEmpty = value.values.length === 0;
  const numbers = how && !isEmpty ? written(how, chosen) : "";
  const result = isEmpty ? "" : numberAt(value, chosen);
  at("element").textContent = isEmpty ? "no elements" : `element ${indexText(chosen)}`;
  if (!chosen.length) at("element").textContent = "in numbers";
  at("numbers").textContent = numbers && numbers !== result ? `${numbers} = ` : "";
  at("answer").textContent = isHidden() ? "" : result;
  at("question").hidden = !isHidden();
  at("local-label").hidden = !local;
  at("local").textContent = "";
  if (local) {
    const filled = isEmpty ? [] : [localHow && written(localHow, chosen), numberAt(local, chosen)];
    at("local").textContent = equation(localFormula, ...filled);
  }
  at("contribution").textContent = contribution;
  at("contribution").classList.toggle("quiet", !sum);
  if (sum && !isEmpty && !isHidden()) {
    const total = equation(sum.how && written(sum.how, chosen), numberAt(sum.total, chosen));
    at("contribution").textContent += `: ${total}`;
  }
}

// Sides of an equation, but for those that there are not, or that say the same as another.
function equation(...sides) {
  return [...new Set(sides.filter(Boolean))].join(" = ");
}

function numberAt(array, index) {
  return number(elementAt(array, index));
}

function indexText(index) {
  return index.length ? `[${index.join(", ")}]` : "";
}

// Room for the longest sentence, and for the longest formula with numbers (but where there are
// bars, which need it), so that what is below stays in its place.
function reserveLines() {
  const longest = (texts) => texts.reduce((one, two) => (one.length < two.length ? two : one));
  const first = ({ how, value }) => (how ? written(how, value.kept.map(() => 0)) : "");
  const numbers = `${longest(steps.map(first))} = -1.234e-05`;
  root.dataset.formulas = numbers.length > 150 ? "long" : "short";
  reserve("sentence", longest(steps.map(({ sentence }) => sentence)));
  reserve("numbers", numbers);
}

function reserve(id, text) {
  const property = `--reserved-for-${id}`;
  root.style.removeProperty(property);
  at(id).textContent = text;
  const { height } = at(id).closest("p, dd").getBoundingClientRect();
  root.style.setProperty(property, `${height}px`);
}

// ---------------------------------------------------------------------- arrays

function drawArrays() {
  panel.classList.toggle("with-bars", Boolean(step.bars));
  const classes = step.bars ? Math.min(step.bars.logits.kept[1], mostClasses) : 0;
  const below = classes ? 19 * (classes + 4) : hasSums ? 150 : 0;
  const around = at("arrays").offsetTop + 130; // what stands above the cells, and right below
  const height = Math.max(80, panel.clientHeight - around - below);
  drawRow(at("arrays"), step.row, height, { isHidden: isHidden() });
  drawRow(at("sum"), step.sum ? step.sum.row : [], 75, { alike: true, isHidden: isHidden() });
  at("arrays").querySelector(".picture:last-child .heat").tabIndex = 0; // the result
}

// Frames around the chosen element, and around those that it comes from.
function drawOutlines() {
  const from = step.how ? sources[step.how.kind](step.how, chosen) : [];
  const result = [step.value, [chosen]];
  const added = step.sum ? step.sum.row.filter(({ of }) => of).map(({ of }) => [of, [chosen]]) : [];
  const rows = { arrays: [...from, result], sum: added };
  for (const [id, pairs] of Object.entries(rows)) {
    for (const map of at(id).querySelectorAll(".heat")) {
      // An array that is there twice takes part twice, each time with other elements.
      const pair = pairs.findIndex(([{ values }]) => values === map.array.values);
      const [[array, indices]] = pair < 0 ? [[map.array, []]] : pairs.splice(pair, 1);
      const kept = indices.filter((index) => isKept(array, index));
      outline(map, new Set(kept.map((index) => placeOf(array.kept, index))));
    }
  }
}

function choose(index) {
  chosen = index;
  drawNumbers();
  drawOutlines();
  announce();
}

// Which element of which array a target of an event is, if any.
function elementUnder(target) {
  const cell = target.closest(".heat td");
  if (!cell) return null;
  const { array } = cell.closest(".heat");
  return { cell, array, index: indexOf(array.kept, Number(cell.dataset.place)) };
}

// The elements of arrays beside the result, too, if these have its shape.
panel.addEventListener("click", ({ target }) => {
  const meant = elementUnder(target);
  if (meant && meant.array.kept.join() === step.value.kept.join()) choose(meant.index);
});

panel.addEventListener("pointerover", ({ target }) => {
  if (target.closest(".hidden")) return;
  const meant = elementUnder(target);
  if (!meant) return;
  const { cell, array, index } = meant;
  cell.title = `${indexText(index)} ${numberAt(array, index)}`.trim();
});

// A click is not to move the focus to a heat map, where the arrow keys choose elements.
panel.addEventListener("mousedown", (event) => {
  if (event.target.closest(".heat")) event.preventDefault();
});

panel.addEventListener("keydown", (event) => {
  if (!event.target.closest(".heat")) return;
  const ways = { ArrowLeft: [1, -1], ArrowRight: [1, 1], ArrowUp: [2, -1], ArrowDown: [2, 1] };
  const [fromLast, way] = ways[event.key] ?? [];
  if (!way) return;
  event.preventDefault(); // which also keeps it from being a step
  const next = chosen.map((i, axis) => (axis === chosen.length - fromLast ? i + way : i));
  if (next.every((i) => i >= 0) && isKept(step.value, next)) choose(next);
});

// ---------------------------------------------------------------------- bars

function drawBars() {
  at("bars").hidden = !step.bars;
  if (!step.bars) return;
  const rows = step.bars.logits.kept[0];
  at("row-picker").hidden = rows === 1;
  at("row").max = rows - 1;
  const row = Math.max(0, Math.min(rows - 1, Math.round(at("row").value)));
  at("chart").replaceChildren(barChart(step.bars, row, isHidden()));
}

at("row").addEventListener("input", drawBars);

// ---------------------------------------------------------------------- predicting

let isPredicting = false;
const guessed = new Set(); // places of steps

// Whether the current step's result is still to be guessed.
function isHidden() {
  const canGuess = ["backward", "sum"].includes(step.kind) && step.value.values.length > 0;
  return isPredicting && canGuess && !guessed.has(current);
}

function predict() {
  isPredicting = !isPredicting;
  at("predict").setAttribute("aria-pressed", isPredicting);
  show(current);
  if (isHidden()) at("guess").focus();
}

function verdictOn(guess, truth) {
  const [error, size] = [Math.abs(guess - truth), Math.abs(truth)];
  if (error <= 0.01 * size || Object.is(guess, truth)) return "right";
  if (error <= 0.1 * size) return "close";
  return Math.abs(guess + truth) <= 0.1 * size ? "right but for the sign" : "not quite";
}

at("question").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = at("guess").value.trim().replace(",", ".").replace("−", "-");
  const guess = Number(typed);
  if (typed === "" || Number.isNaN(guess)) return at("guess").select();
  guessed.add(current);
  show(current);
  const verdict = verdictOn(guess, elementAt(step.value, chosen));
  at("verdict").textContent = `${verdict}: you said ${typed}`;
  announce();
});

at("predict").addEventListener("click", predict);

// ---------------------------------------------------------------------- playing

let timer = 0; // while it plays

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
  }, 2000 / at("speed").value);
  drawPlay();
}

function pause() {
  clearTimeout(timer);
  timer = 0;
  drawPlay();
}

function drawPlay() {
  at("play").textContent = timer ? "❚❚" : "▶";
  at("play").setAttribute("aria-label", timer ? "Pause" : "Play");
}

// ---------------------------------------------------------------------- controls

function go(place) {
  pause();
  show(place);
}

const keys = {
  ArrowLeft: () => go(current - 1),
  ArrowRight: () => go(current + 1),
  Home: () => go(0),
  End: () => go(steps.length - 1),
  " ": () => (timer ? pause() : play()),
  "/": () => at("search").focus(),
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

at("scrubber").max = steps.length;
at("scrubber").addEventListener("input", () => go(at("scrubber").value - 1));
at("back").addEventListener("click", () => go(current - 1));
at("on").addEventListener("click", () => go(current + 1));
at("play").addEventListener("click", keys[" "]);
at("speed").addEventListener("change", () => timer && schedule());
finder(at("search"), at("found"), found, go);

// A click on a node goes to the first of its steps, and further clicks to the next ones.
graph.addEventListener("click", ({ target }) => {
  const places = visits[target.closest(".node")?.id];
  if (places) go(places[(places.indexOf(current) + 1) % places.length]);
});

const forward = steps.filter(({ kind }) => kind === "forward").length;
root.style.setProperty("--forward-share", forward / steps.length);
at("backward").hidden = forward === steps.length;
addEventListener("hashchange", showLinked);
addEventListener("resize", () => {
  reserveLines();
  draw();
});
reserveLines();
showLinked();
