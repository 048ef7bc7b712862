// How one element of a result arises: from which elements, and its formula with the numbers in it.
// Python writes the same texts for the table of all steps: show/arithmetic.py says what they mean.

"use strict";

const mostTerms = 16; // of more, these many are written

// ---------------------------------------------------------------------- from which elements

// For each kind of how: pairs of an operand and the indices of its elements that the result's
// element at `index` comes from, in the order in which they are written.
const sources = {
  Formula: ({ operands }, index) =>
    Object.values(operands).map((array) => [array, [broadcastIndex(array.shape, index)]]),

  Products({ subscripts, operands, bias }, index) {
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
      indexOf(range, term).forEach((i, axis) => at.set(summed[axis], i));
      words.forEach((word, i) => {
        const { shape } = operands[i];
        found[i][1].push(word.map((letter, axis) => (shape[axis] === 1 ? 0 : at.get(letter))));
      });
    }
    return [...found, ...sourceOfBias(bias, index)];
  },

  Weighted({ operand, bias, ...how }, index) {
    const places = columnOf(how, index).map(([place]) => place);
    const indices = places.map((place) => indexOf(operand.shape, place));
    return [[operand, indices], ...sourceOfBias(bias, index)];
  },

  Reduced({ operand, axes }, index) {
    const { shape } = operand;
    const remaining = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const isSqueezed = index.length === remaining.length;
    const at = shape.map(() => 0);
    remaining.forEach((axis, i) => {
      at[axis] = index[isSqueezed ? i : axis - (shape.length - index.length)];
    });
    const range = axes.map((axis) => shape[axis]);
    const indices = Array.from({ length: product(range) }, (_, term) => {
      indexOf(range, term).forEach((i, j) => (at[axes[j]] = i));
      return [...at];
    });
    return [[operand, indices]];
  },

  Picked({ operands, source }, index) {
    let place = elementAt(source, index);
    if (place === -1) return [];
    for (const array of operands) {
      const size = product(array.shape);
      if (place < size) return [[array, [indexOf(array.shape, place)]]];
      place -= size;
    }
    return [];
  },
};

function sourceOfBias(bias, index) {
  return bias ? [[bias, [broadcastIndex(bias.shape, index)]]] : [];
}

// Pairs of a place in the operand and its weight, which is not 0.
function columnOf({ shape, starts, places, weights }, index) {
  const column = placeOf(shape, index);
  const [from, to] = [starts.values[column], starts.values[column + 1]];
  const pairs = [];
  for (let i = from; i < to; i++) pairs.push([places.values[i], weights.values[i]]);
  return pairs;
}

// ---------------------------------------------------------------------- as text

const texts = {
  Formula({ template, operands }, index) {
    const [start, ...parts] = template.split("{");
    return parts.reduce((text, part) => {
      const [name, after] = part.split("}");
      const array = operands[name];
      const value = elementAt(array, broadcastIndex(array.shape, index));
      return placed(text, value, after) + after;
    }, start);
  },

  Products(how, index) {
    const found = sources.Products(how, index).slice(0, how.operands.length);
    const termAt = (i) => found.map(([array, indices]) => elementAt(array, indices[i]));
    const terms = found[0][1].map((_, i) => termAt(i));
    return addition(terms, how.bias, index);
  },

  Weighted(how, index) {
    const { operand, bias, shape, starts } = how;
    if (placeOf(shape, index) + 1 >= starts.values.length) return "…"; // not kept
    const terms = columnOf(how, index).map(([place, weight]) => {
      const value = elementAt(operand, indexOf(operand.shape, place));
      return weight === 1 ? [value] : [value, weight];
    });
    return addition(terms, bias, index);
  },

  Reduced(how, index) {
    const { opening, joiner, closing } = how;
    const [[operand, indices]] = sources.Reduced(how, index);
    const left = indices.length - mostTerms;
    const end = left > 0 ? `${joiner}… ${left} more${closing}` : closing;
    const text = indices.slice(0, mostTerms).reduce((before, at, i) => {
      const after = i + 1 < indices.length ? joiner : closing;
      return placed(i ? before + joiner : before, elementAt(operand, at), after);
    }, opening);
    return text + end || "0";
  },

  Picked(how, index) {
    if (elementAt(how.source, index) === -1) return "0";
    const [[array, [at]] = [null, []]] = sources.Picked(how, index);
    return array ? number(elementAt(array, at)) : "…";
  },
};

// Terms, each of some factors, and a bias if there is one.
function addition(terms, bias, index) {
  const left = terms.length - mostTerms;
  let text = "";
  for (const factors of terms.slice(0, mostTerms)) {
    factors.forEach((value, i) => (text = placed(text + (i ? " · " : text && " + "), value)));
  }
  if (left > 0) text += ` + … ${left} more`;
  if (bias) text = placed(text && `${text} + `, elementAt(bias, broadcastIndex(bias.shape, index)));
  return text || "0";
}

function number(value) {
  return value === undefined ? "…" : formatted(value); // not among the elements kept
}

// A number behind the text `before`, in parentheses where it would be misread without.
function placed(before, value, after = "") {
  const text = number(value);
  const tight = before.endsWith("^") || /^[\^⁰¹²³⁴⁵⁶⁷⁸⁹⁻]/.test(after);
  const free = /(^|[(|⌊⌈]|, |(if|else|and|or|not|[=<>≤≥≠]) )$/.test(before);
  const enclosed = tight ? /^-|e/.test(text) : text.startsWith("-") && !free;
  return before + (enclosed ? `(${text})` : text);
}

// The arithmetic that gives the element at `index`.
function written(how, index) {
  return texts[how.kind](how, index);
}
