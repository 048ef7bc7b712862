// Arrays in the data of a page, and the indices of their elements.

"use strict";

const floats = { float32: Float32Array, float64: Float64Array };

// The data of a page, with arrays instead of references. `shape` is the shape of the whole array,
// `kept` the shape of its first elements, which are in `values`.
function inflateData({ arrays, ...data }) {
  const contents = arrays.map(({ dtype, bytes }) => {
    const { buffer } = Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
    return new floats[dtype](buffer);
  });
  const resolve = (value) => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(resolve);
    if ("reference" in value) {
      const { reference, shape } = value;
      return { shape, kept: arrays[reference].kept ?? shape, values: contents[reference] };
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item)]));
  };
  return resolve(data);
}

function product(lengths) {
  return lengths.reduce((all, length) => all * length, 1);
}

function sum(values) {
  return values.reduce((all, value) => all + value, 0);
}

// From an index to the position in C order, and back.
function ravelIndex(shape, index) {
  return shape.reduce((position, length, axis) => position * length + index[axis], 0);
}

function unravelIndex(shape, position) {
  const index = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = position % shape[axis];
    position = Math.floor(position / shape[axis]);
  }
  return index;
}

// The index in an operand that is broadcast to `index` of the result.
function broadcastIndex(shape, index) {
  const added = index.length - shape.length;
  return shape.map((length, axis) => (length === 1 ? 0 : index[axis + added]));
}

function isKept({ kept }, index) {
  return index.every((i, axis) => i < kept[axis]);
}

// Undefined if the element is not kept.
function elementAt(array, index) {
  return isKept(array, index) ? array.values[ravelIndex(array.kept, index)] : undefined;
}
