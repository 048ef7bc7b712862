// The intermediate values of a softmax for one row of logits, as bars aligned by class.

"use strict";

const maxClasses = 20;

// The last column, p - y, is left out while it has to be guessed.
function barChart(bars, row, isHidden) {
  const { logits, exponentials, sums, probabilities, targets, differences } = bars;
  const classes = Array.from({ length: logits.kept[1] }, (_, i) => i);
  const rowOf = (array) => classes.map((i) => elementAt(array, [row, i]));
  const [p, y] = [rowOf(probabilities), targets && rowOf(targets)];
  const columns = [
    { title: "logit z", values: rowOf(logits), signed: true },
    { title: "exp(z − max)", values: rowOf(exponentials), total: sums.values[row] },
    { title: "p = exp / sum", values: p, total: totalOf(p) },
  ];
  if (targets) columns.push({ title: "label y", values: y, total: totalOf(y), hollow: true });
  if (differences && !isHidden) {
    const values = rowOf(differences);
    columns.push({ title: "p − y", values, total: totalOf(values), signed: true });
  }

  const table = element("table", "bars");
  const line = (section, title, cells) => {
    const made = section.insertRow();
    made.append(element("th", "", title), ...cells);
    return made;
  };
  line(table.createTHead(), "", columns.map(({ title }) => element("th", "", title)));
  const body = table.createTBody();
  const shown = mostProbable(p, y);
  for (const i of shown) {
    const cells = columns.map((column) => barCell(column, i));
    const made = line(body, `class ${i}`, cells);
    made.classList.toggle("labelled", Boolean(y) && y[i] === Math.max(...y));
  }
  const cell = ({ total }) => {
    const made = element("td", "", total === undefined ? "" : formatNumber(total));
    markAlarm(made);
    return made;
  };
  line(table.createTFoot(), "sum", columns.map(cell));
  const all = logits.shape[1];
  if (shown.length < all) {
    table.createCaption().textContent = `the ${shown.length} most probable of ${all} classes`;
  }
  return table;
}

function barCell({ values, signed, hollow }, i) {
  const longest = signed ? largestOf(values) || 1 : 1;
  const bar = element("span", "bar");
  bar.style.setProperty("--length", Math.min(1, Math.abs(values[i]) / longest) || 0);
  bar.classList.toggle("signed", Boolean(signed));
  bar.classList.toggle("negative", values[i] < 0);
  bar.classList.toggle("hollow", Boolean(hollow));
  const number = element("span", "value", formatNumber(values[i], 3));
  markAlarm(number);
  return element("td", "", number, bar);
}

// A sum; 0 up to rounding.
function totalOf(values) {
  return Math.abs(sum(values)) < 1e-6 ? 0 : sum(values);
}

// The classes in order; of many, the most probable and the labels.
function mostProbable(p, y) {
  const weight = (i) => Math.max(p[i], y ? y[i] : 0);
  const classes = [...p.keys()].sort((i, j) => weight(j) - weight(i));
  return classes.slice(0, maxClasses).sort((i, j) => i - j);
}
