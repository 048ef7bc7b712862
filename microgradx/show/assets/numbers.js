// Numbers and heat maps, the same on every page.

"use strict";

// As Python's format(value, ".4g"): four significant digits, without trailing zeros.
function formatNumber(value, digits = 4) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const [mantissa, exponent] = roundDigits(value, digits).split("e");
  const power = Number(exponent);
  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power < -4 || power >= digits) {
    const sign = power < 0 ? "-" : "+";
    return `${trimmed(mantissa)}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return trimmed(Number(`${mantissa}e${exponent}`).toFixed(digits - 1 - power));
}

// Marks an element whose text is a number that is not finite.
function markAlarm(element) {
  element.classList.toggle("alarm", /^(NaN|-?inf)$/.test(element.textContent.trim()));
}

// As Python's format(value, ".4f"), for values of at least 0.0001 that are not huge.
function formatFixed(value, decimals) {
  const power = Number(value.toExponential().split("e")[1]);
  return Number(roundDigits(value, power + 1 + decimals)).toFixed(decimals);
}

// Rounded to a number of significant digits, as m.mmme±x. Ties go to the even digit, as in Python;
// JavaScript rounds them up.
function roundDigits(value, digits) {
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const beyond = value.toExponential(60).split("e")[0].replace(/\D/g, "").slice(digits);
  const last = Number(mantissa.at(-1));
  const isTie = /^50*$/.test(beyond) && last % 2 === 1;
  return `${isTie ? mantissa.slice(0, -1) + (last - 1) : mantissa}e${exponent}`;
}

// The colour of a value where `largest` has the strongest one.
function heatColour(value, largest) {
  if (!Number.isFinite(value)) return "var(--alarm)";
  if (!largest) return "var(--zero)";
  const share = Math.round(100 * Math.min(1, Math.abs(value) / largest));
  return `color-mix(in oklab, var(${value < 0 ? "--negative" : "--positive"}) ${share}%, var(--zero))`;
}
