// The page of softmax.html: every number in it can be dragged, typed or chosen.

"use strict";

const MAX_CLASSES = 20;

// ---------------------------------------------------------------------------- states and links

// A typed number; "-inf", a decimal comma and a typographic minus are understood.
function parseNumber(text) {
  const plain = text.trim().replace("−", "-").replace(",", ".");
  if (/^-(inf|infinity|∞)$/i.test(plain)) return -Infinity;
  return plain === "" ? NaN : Number(plain);
}

const oneHot = (label, classes) => Array.from({ length: classes }, (_, i) => Number(i === label));

// Another state changed by the fragment of a link, without its #; null if that is not valid.
function parseFragment(fragment, state) {
  const given = Object.fromEntries(fragment.split("&").map((part) => part.split("=")));
  const numbers = (key) => decodeURIComponent(given[key]).split(",").map(parseNumber);
  const next = { ...state };
  try {
    if ("z" in given) next.logits = numbers("z");
    const classes = next.logits.length;
    if (classes !== state.names?.length) {
      next.names = next.logits.map((_, i) => `class ${i}`);
      next.target = oneHot(0, classes);
    }
    if ("T" in given) [next.temperature] = numbers("T");
    if ("smoothing" in given) [next.smoothing] = numbers("smoothing");
    if ("y" in given) {
      const y = numbers("y");
      next.target = y.length === 1 ? oneHot(y[0], classes) : y;
    }
    if ("names" in given) next.names = given.names.split(",").map(decodeURIComponent);
  } catch {
    return null; // an invalid % escape
  }
  return isValid(next) ? next : null;
}

function isValid({ logits, target, temperature, smoothing, names }) {
  const classes = logits.length;
  return (
    classes >= 2 && classes <= MAX_CLASSES && target.length === classes && names.length === classes &&
    logits.every((z) => z < Infinity) && logits.some(Number.isFinite) &&
    target.every((y) => y >= 0) && Math.abs(sum(target) - 1) <= 0.01 &&
    temperature > 0 && temperature < Infinity && smoothing >= 0 && smoothing <= 1
  );
}

// The fragment of a link to a state.
function formatFragment({ logits, target, temperature, smoothing, names }) {
  const label = target.indexOf(1);
  const y = label >= 0 && sum(target) === 1 ? [label] : target;
  const z = logits.map((logit) => (logit === -Infinity ? "-inf" : logit));
  return [
    `z=${z}`, `T=${temperature}`, `smoothing=${smoothing}`, `y=${y}`,
    `names=${names.map(encodeURIComponent)}`,
  ].join("&");
}

const examples = {
  animals: () => ({
    logits: [1, 3, 0.5], target: [0, 1, 0], names: ["cat", "dog", "bird"], temperature: 1, smoothing: 0,
  }),
  ignorant: ({ logits }) => ({ logits: logits.map(() => 0), temperature: 1 }),
  wrong: ({ logits, target }) => ({
    logits: oneHot((rightClass(target) + 1) % logits.length, logits.length).map((y) => 4.5 * y),
    temperature: 1,
  }),
  overflow: ({ logits }) => ({ logits: logits.map((z) => z + 100) }),
  underflow: ({ logits }) => ({ logits: logits.map((z) => z - 110) }),
  vanishing: ({ logits, target }) => ({
    logits: logits.map((z, i) => (i === rightClass(target) ? z - 110 : z)),
  }),
};

const rightClass = (target) => target.indexOf(Math.max(...target));

// ---------------------------------------------------------------------------- texts

// The texts and variables of each class and of the whole page, by their names in the template.
function describeState(state) {
  const { logits, target, temperature, smoothing, names } = state;
  const exact = crossEntropy(state);
  const { naive, shifted } = computeInFloat32(state, exact.y);
  const right = rightClass(target);
  const classes = names.map((name, i) => {
    const values = {
      z: logits[i],
      scaled: exact.scaled[i],
      shifted: exact.shifted[i],
      exponential: exact.exponentials[i],
      p: exact.p[i],
      surprise: exact.surprises[i],
      target: target[i],
      y: exact.y[i],
      loss: exact.losses[i],
      difference: exact.differences[i],
      gradient: exact.gradient[i],
      naiveE: naive.exponentials[i],
      naiveP: naive.p[i],
      shiftedE: shifted.exponentials[i],
      shiftedP: shifted.p[i],
    };
    const { exponential, p, y, surprise, difference } = values;
    const gradient = difference / Math.max(1, temperature);
    return {
      texts: { ...mapValues(values, formatComputed), z: formatTyped(logits[i]), name },
      variables: { exponential, p, y, surprise, difference, gradient, right: Number(i === right) },
    };
  });
  const rows = classes.map(({ texts }) => texts);
  const largest = formatComputed(Math.max(...exact.scaled));
  const ignorance = Math.log(names.length);
  return {
    classes,
    texts: {
      ...rows[right],
      T: formatTyped(temperature),
      smoothing: formatTyped(smoothing),
      C: String(names.length),
      lnC: formatComputed(ignorance),
      largest,
      subtrahend: largest.startsWith("-") ? `(${largest})` : largest,
      sumE: formatComputed(exact.total),
      sumY: formatTyped(exact.targetSum),
      sumLoss: formatComputed(exact.loss),
      sumNaiveE: formatComputed(naive.total),
      sumNaiveLoss: formatComputed(naive.loss),
      sumShiftedE: formatComputed(shifted.total),
      sumShiftedLoss: formatComputed(shifted.loss),
      termsOfE: abbreviateSum(rows.map(({ exponential }) => exponential)),
      termsOfLoss: abbreviateSum(rows.filter(({ y }) => y !== "0").map(({ y, surprise }) => `${y} · ${surprise}`)),
    },
    variables: { ...classes[right].variables, loss: exact.loss, ignorance },
    verdict: chooseRemark(naive, shifted),
  };
}

// A computed number with four decimals, so that nothing moves while it changes; a whole number
// without, and a very large or small one with four significant digits.
function formatComputed(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e4) return String(value + 0);
  return size >= 1e-4 && size < 1e4 ? formatFixed(value, 4) : formatNumber(value);
}

const formatTyped = (value) => formatNumber(value, 6);

const mapValues = (values, change) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]));

// A sum; the middle of many terms is left out.
const abbreviateSum = (terms) => (terms.length <= 4 ? terms : [...terms.slice(0, 3), "…"]).join(" + ");

// How the unshifted formula fares in float32: which of the template's remarks applies.
function chooseRemark(naive, shifted) {
  if (naive.total === Infinity) return "overflow";
  if (naive.total === 0) return "underflow";
  if (naive.loss === Infinity && shifted.loss !== Infinity) return "vanished";
  return Math.abs(naive.loss - shifted.loss) > 1e-3 * (1 + shifted.loss) ? "coarse" : "agree";
}

// A whole number, padded for a column of numbers with four decimals.
const padWhole = (text) => (/^-?\d+$/.test(text) ? text.padEnd(text.length + 5) : text);

function fillTexts(element, { texts, variables }) {
  for (const target of element.querySelectorAll("[data-text]")) {
    const text = texts[target.dataset.text];
    target.textContent = target.matches(".number:not(.static)") ? padWhole(text) : text;
    if (target.matches(".name")) target.title = text;
    else markAlarm(target);
  }
  for (const [key, value] of Object.entries(variables)) {
    element.style.setProperty(`--${key}`, Math.min(value, 1e9)); // CSS has no infinity
  }
}

// Copies the first child until there are `count` children.
function repeat(container, count) {
  while (container.children.length > count) container.lastElementChild.remove();
  while (container.children.length < count) {
    container.append(container.firstElementChild.cloneNode(true));
  }
  return [...container.children];
}

// ---------------------------------------------------------------------------- the page

function start() {
  const byId = (id) => document.getElementById(id);
  const page = document.querySelector(".softmax");
  const initial = parseFragment(JSON.parse(byId("data").textContent), {});
  let state = initial;
  let reach = 10; // the sliders go from -reach to reach
  let pause = 0;

  // `source` is the input that the reader is changing, which is not written to meanwhile.
  function show(source) {
    const { classes, texts, variables, verdict } = describeState(state);
    fillTexts(page, { texts, variables });
    page.dataset.verdict = verdict;
    page.dataset.targetSum = texts.sumY;
    for (const id of ["classes", "float32", "dots"]) {
      repeat(byId(id), classes.length).forEach((row, i) => fillTexts(row, classes[i]));
    }
    const set = (input, value) => {
      if (input === source) return;
      input.value = value;
      input.removeAttribute("aria-invalid");
    };
    while (reach < Math.max(...state.logits.filter(Number.isFinite).map(Math.abs))) reach *= 2;
    [...byId("classes").children].forEach((row, i) => {
      const [radio, slider, field] = row.querySelectorAll("input");
      const name = state.names[i];
      radio.checked = state.target[i] === 1;
      radio.ariaLabel = `${name} is the right class`;
      slider.min = -reach;
      slider.max = reach;
      slider.ariaLabel = field.ariaLabel = `logit of ${name}`;
      slider.ariaValueText = formatTyped(state.logits[i]);
      set(slider, Math.max(-reach, state.logits[i]));
      set(field, formatTyped(state.logits[i]));
    });
    set(byId("temperature-slider"), Math.log10(state.temperature));
    byId("temperature-slider").ariaValueText = texts.T;
    set(byId("temperature"), formatTyped(state.temperature));
    set(byId("smoothing-slider"), state.smoothing);
    set(byId("smoothing"), formatTyped(state.smoothing));
  }

  function change(part, source) {
    const next = { ...state, ...part };
    if (!isValid(next)) return source.setAttribute("aria-invalid", "true");
    source?.removeAttribute("aria-invalid");
    state = next;
    show(source);
  }

  // After a change, typed numbers are written in full. After a pause, the address links to the
  // state, and screen readers say the result: neither can follow every change.
  function settle() {
    show();
    clearTimeout(pause);
    pause = setTimeout(() => {
      const { name, p, sumLoss } = describeState(state).texts;
      byId("announcement").textContent = `probability of ${name}: ${p}; loss: ${sumLoss}`;
      const here = location.href.split("#")[0];
      history.replaceState(null, "", state === initial ? here : `${here}#${formatFragment(state)}`);
    }, 300);
  }

  function load(next) {
    state = next;
    reach = 10;
    settle();
  }

  byId("classes").addEventListener("input", ({ target: input }) => {
    const i = [...byId("classes").children].indexOf(input.closest("tr"));
    if (input.type === "radio") return change({ target: oneHot(i, state.names.length) });
    change({ logits: state.logits.with(i, parseNumber(input.value)) }, input);
  });
  const settings = {
    "temperature-slider": (text) => ({ temperature: Number((10 ** text).toPrecision(2)) }),
    temperature: (text) => ({ temperature: parseNumber(text) }),
    "smoothing-slider": (text) => ({ smoothing: Number(text) }),
    smoothing: (text) => ({ smoothing: parseNumber(text) }),
  };
  for (const [id, part] of Object.entries(settings)) {
    byId(id).addEventListener("input", ({ target: input }) => change(part(input.value), input));
  }
  page.addEventListener("change", settle);
  for (const button of document.querySelectorAll("[data-example]")) {
    button.addEventListener("click", () => load({ ...state, ...examples[button.dataset.example](state) }));
  }
  byId("reset").addEventListener("click", () => load(initial));
  const follow = (url) => load(parseFragment(new URL(url).hash.slice(1), initial) ?? initial);
  addEventListener("hashchange", ({ newURL }) => follow(newURL));
  page.classList.add("live");
  follow(location.href);
}

start();
