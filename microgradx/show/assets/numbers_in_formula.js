// The derivation of one element: its source elements, and its formula with numbers. Python writes
// the same texts for the table of all steps: formulas/numbers_in_formula.py documents them.

"use strict";

const maxTerms = 16; // how many terms of a longer sum are written

// ---------------------------------------------------------------------- sources

// For each kind of derivation: pairs of an operand, and the indices of its elements that the element
// at `index` of the result is computed from, in the order in which they are written.
const sources = {
  Formula: ({ operands }, index) =>
    Object.values(operands).map((array) => [array, [broadcastIndex(array.shape, index)]]),

  Einsum({ subscripts, operands, bias }, index) {
    const [inputs, output] = subscripts.split("->");
    const words = inputs.split(",").map((word) => [...word]);
    const lengths = new Map();
    words.forEach((word, i) =>
      word.forEach((letter, axis) => {
        if ((lengths.get(letter) ?? 1) === 1) lengths.set(letter, operands[i].shape[axis]);
      }),
    );
    const at = new Map([...output].map((letter, axis) => [letter, index[axis]]));
    const summed = [...lengths.keys()].filter((letter) => !at.has(letter));
    const range = summed.map((letter) => lengths.get(letter));
    const found = operands.map((array) => [array, []]);
    for (let term = 0; term < product(range); term++) {
      unravelIndex(range, term).forEach((i, axis) => at.set(summed[axis], i));
      words.forEach((word, i) => {
        const { shape } = operands[i];
        found[i][1].push(word.map((letter, axis) => (shape[axis] === 1 ? 0 : at.get(letter))));
      });
    }
    return [...found, ...sourceOfBias(bias, index)];
  },

  LinearCombination({ operand, bias, ...derivation }, index) {
    const positions = weightedElements(derivation, index).map(([position]) => position);
    const indices = positions.map((position) => unravelIndex(operand.shape, position));
    return [[operand, indices], ...sourceOfBias(bias, index)];
  },

  Reduce({ operand, axes }, index) {
    const { shape } = operand;
    const remaining = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const isSqueezed = index.length === remaining.length;
    const at = shape.map(() => 0);
    remaining.forEach((axis, i) => {
      at[axis] = index[isSqueezed ? i : axis - (shape.length - index.length)];
    });
    const range = axes.map((axis) => shape[axis]);
    const indices = Array.from({ length: product(range) }, (_, term) => {
      unravelIndex(range, term).forEach((i, j) => (at[axes[j]] = i));
      return [...at];
    });
    return [[operand, indices]];
  },

  Gather({ operands, source }, index) {
    let position = elementAt(source, index);
    if (position === -1) return [];
    for (const array of operands) {
      const size = product(array.shape);
      if (position < size) return [[array, [unravelIndex(array.shape, position)]]];
      position -= size;
    }
    return [];
  },
};

function sourceOfBias(bias, index) {
  return bias ? [[bias, [broadcastIndex(bias.shape, index)]]] : [];
}

// Pairs of a position in the operand and its nonzero weight.
function weightedElements({ shape, starts, positions, weights }, index) {
  const column = ravelIndex(shape, index);
  const [from, to] = [starts.values[column], starts.values[column + 1]];
  const pairs = [];
  for (let i = from; i < to; i++) pairs.push([positions.values[i], weights.values[i]]);
  return pairs;
}

// ---------------------------------------------------------------------- as text

const writers = {
  Formula({ template, operands }, index) {
    const [start, ...parts] = template.split("{");
    return parts.reduce((text, part) => {
      const [name, after] = part.split("}");
      const array = operands[name];
      const value = elementAt(array, broadcastIndex(array.shape, index));
      return appendNumber(text, value, after) + after;
    }, start);
  },

  Einsum(derivation, index) {
    const found = sources.Einsum(derivation, index).slice(0, derivation.operands.length);
    const termAt = (i) => found.map(([array, indices]) => elementAt(array, indices[i]));
    const terms = found[0][1].map((_, i) => termAt(i));
    return writeSum(terms, derivation.bias, index);
  },

  LinearCombination(derivation, index) {
    const { operand, bias, shape, starts } = derivation;
    if (ravelIndex(shape, index) + 1 >= starts.values.length) return "…"; // not kept
    const terms = weightedElements(derivation, index).map(([position, weight]) => {
      const value = elementAt(operand, unravelIndex(operand.shape, position));
      return weight === 1 ? [value] : [value, weight];
    });
    return writeSum(terms, bias, index);
  },

  Reduce(derivation, index) {
    const { opening, joiner, closing } = derivation;
    const [[operand, indices]] = sources.Reduce(derivation, index);
    const left = indices.length - maxTerms;
    const end = left > 0 ? `${joiner}… ${left} more${closing}` : closing;
    const text = indices.slice(0, maxTerms).reduce((before, at, i) => {
      const after = i + 1 < indices.length ? joiner : closing;
      return appendNumber(i ? before + joiner : before, elementAt(operand, at), after);
    }, opening);
    return text + end || "0";
  },

  Gather(derivation, index) {
    if (elementAt(derivation.source, index) === -1) return "0";
    const [[array, [at]] = [null, []]] = sources.Gather(derivation, index);
    return array ? formatElement(elementAt(array, at)) : "…";
  },
};

// A sum of terms, each a list of factors, and of a bias if there is one.
function writeSum(terms, bias, index) {
  const left = terms.length - maxTerms;
  let text = "";
  for (const factors of terms.slice(0, maxTerms)) {
    factors.forEach((value, i) => (text = appendNumber(text + (i ? " · " : text && " + "), value)));
  }
  if (left > 0) text += ` + … ${left} more`;
  if (bias) {
    const value = elementAt(bias, broadcastIndex(bias.shape, index));
    text = appendNumber(text && `${text} + `, value);
  }
  return text || "0";
}

function formatElement(value) {
  return value === undefined ? "…" : formatNumber(value); // not among the elements kept
}

// The text `before` followed by a number, in parentheses where it needs them.
function appendNumber(before, value, after = "") {
  const text = formatElement(value);
  const tight = before.endsWith("^") || /^[\^⁰¹²³⁴⁵⁶⁷⁸⁹⁻]/.test(after);
  const free = /(^|[(|⌊⌈]|, |(if|else|and|or|not|[=<>≤≥≠]) )$/.test(before);
  const enclosed = tight ? /^-|e/.test(text) : text.startsWith("-") && !free;
  return before + (enclosed ? `(${text})` : text);
}

// The formula of the element at `index`, with numbers.
function substituteNumbers(derivation, index) {
  return writers[derivation.kind](derivation, index);
}
