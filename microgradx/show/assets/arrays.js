// Arrays, as the page's data hold them, and how their elements are counted.

"use strict";

const floats = { float32: Float32Array, float64: Float64Array };

// The page's data, with arrays in the place of references to them. `shape` is that of a whole
// array, and `kept` that of its first elements, which are in `values`.
function inflated({ arrays, ...data }) {
  const contents = arrays.map(({ dtype, bytes }) => {
    const { buffer } = Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
    return new floats[dtype](buffer);
  });
  const resolved = (value) => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(resolved);
    if ("array" in value) {
      const { array, shape } = value;
      return { shape, kept: arrays[array].kept ?? shape, values: contents[array] };
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item)]));
  };
  return resolved(data);
}

function product(lengths) {
  return lengths.reduce((all, length) => all * length, 1);
}

function sum(values) {
  return values.reduce((all, value) => all + value, 0);
}

// In C order, the place of the element at an index, and back.
function placeOf(shape, index) {
  return shape.reduce((place, length, axis) => place * length + index[axis], 0);
}

function indexOf(shape, place) {
  const index = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = place % shape[axis];
    place = Math.floor(place / shape[axis]);
  }
  return index;
}

// The index, in an operand that broadcasts, of the element that arrives at `index` of the result.
function broadcastIndex(shape, index) {
  const added = index.length - shape.length;
  return shape.map((length, axis) => (length === 1 ? 0 : index[axis + added]));
}

function isKept({ kept }, index) {
  return index.every((i, axis) => i < kept[axis]);
}

// Undefined if it is not among the elements that are kept.
function elementAt(array, index) {
  return isKept(array, index) ? array.values[placeOf(array.kept, index)] : undefined;
}
