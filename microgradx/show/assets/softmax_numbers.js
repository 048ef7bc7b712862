// Softmax and cross-entropy of one row of logits: as accurate as the engine's, and in float32.

"use strict";

const sum = (values) => values.reduce((total, value) => total + value, 0);

// All values from the logits to the loss and its gradient; `target` holds probabilities.
//
// Logits are shifted before they are divided, so that neither the quotient nor an exponential
// overflows. The rounding error of the subtraction is added back to first order. The exponential of
// the largest logit is 1, and not part of the sum of the others, which may be too small to change
// it: when the model is nearly certain, the others are the loss and the gradient.
function crossEntropy({ logits, target, temperature, smoothing }) {
  const largest = Math.max(...logits);
  const top = logits.indexOf(largest);
  const shifted = logits.map((z) => (z - largest) / temperature);
  const roundedOff = logits.map((z, i) => {
    const difference = z - largest;
    const virtual = z - difference;
    const error = z - (difference + virtual) + (virtual - largest);
    return Number.isFinite(shifted[i]) ? error / temperature : 0;
  });
  const exponentials = shifted.map((d, i) => Math.exp(d) * (1 + roundedOff[i]));
  const others = sum(exponentials.filter((_, i) => i !== top));
  const total = 1 + others;
  const p = exponentials.map((e) => e / total);
  const surprises = shifted.map((d, i) => Math.log1p(others) - (d + roundedOff[i])); // -ln p

  const y = target.map((share) => share * (1 - smoothing) + smoothing / target.length);
  const losses = y.map((share, i) => (share === 0 ? 0 : share * surprises[i]));
  const targetSum = sum(y); // 1 up to rounding
  const differences = y.map((share, i) => targetSum * p[i] - share);
  // Where both are nearly 1, compute their difference from the other classes.
  if (y[top] > targetSum / 2) {
    differences[top] = sum(y.filter((_, i) => i !== top)) - (targetSum * others) / total;
  }
  return {
    scaled: logits.map((z) => z / temperature),
    shifted,
    exponentials,
    total,
    p,
    surprises,
    y,
    targetSum,
    losses,
    loss: sum(losses),
    differences,
    gradient: differences.map((difference) => difference / temperature),
  };
}

// The same in float32, by the textbook formula and by the shifted one: each operation is rounded,
// as for float32 arrays.
function computeInFloat32({ logits, temperature }, y) {
  const round = Math.fround;
  const add = (values) => values.reduce((total, value) => round(total + value), 0);
  const z = logits.map((logit) => round(round(logit) / round(temperature)));
  const largest = Math.max(...z);
  const labels = y.map(round);

  function computeBy(exponents, lossOf) {
    const exponentials = exponents.map((x) => round(Math.exp(x)));
    const total = add(exponentials);
    const p = exponentials.map((e) => round(e / total));
    const losses = labels.map((share, i) => (share === 0 ? 0 : round(share * lossOf(i, p, total))));
    return { exponentials, total, p, loss: add(losses) };
  }
  const shifted = z.map((x) => round(x - largest));
  return {
    naive: computeBy(z, (i, p) => -round(Math.log(p[i]))),
    shifted: computeBy(shifted, (i, _, total) => round(round(Math.log(total)) - shifted[i])),
  };
}
