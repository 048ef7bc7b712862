"""The results as text: tables in Markdown, for the terminal and the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import REFERENCE, Measurement
from benchmarks.targets import TARGETS, Target
from benchmarks.workloads import ONE_COPY, WORKLOADS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# Not peers: microgradx itself, and the units of measurement.
MICROGRADX = "microgradx"
YARDSTICKS = ("NumPy by hand", "one copy", "import numpy")

UNITS = {
    "Long chains": "time and memory of a node",
    "Cross-entropy": "times one copy of the logits",
    "Import": "times `import numpy`",
}


# ---------------------------------------------------------------------------- the whole


def format_report(results: Mapping[str, Any], picture: str | None = None) -> str:
    """The whole report: machine, targets, picture, and a table for each group of workloads."""
    cases = all_cases(results)
    parts = [
        format_machine(results),
        "### Targets",
        "The unit is the time (or memory) of hand-written NumPy, unless another is named.",
        format_targets(cases),
    ]
    if picture:
        parts += [
            f"![Times of all implementations as multiples of hand-written NumPy's]({picture})"
        ]
    tables: dict[str, list[str]] = defaultdict(list)
    for key in results["workloads"]:
        tables[WORKLOADS[key].table].append(key)
    for title, keys in tables.items():
        parts.append(f"### {title}")
        parts.append("\n".join(f"* {key}: {WORKLOADS[key].about}." for key in keys))
        if title in UNITS:
            parts.append(f"In each cell: {UNITS[title]}.")
        for group in filter(None, group_cases(results, keys)):
            parts.append(format_table(title, group))
            parts.append(format_notes(group))
    parts += ["### Where others are faster", format_slower_cases(cases)]
    return "\n\n".join(part for part in parts if part)


def all_cases(results: Mapping[str, Any]) -> dict[str, list[Measurement]]:
    return {
        case: [Measurement(**one) for one in measurements]
        for found in results["workloads"].values()
        for run in found
        for case, measurements in run["cases"].items()
    }


def group_cases(results: Mapping[str, Any], keys: list[str]) -> list[dict[str, list[Measurement]]]:
    """The cases of each table: a table is for all `keys`, and for one number of threads."""
    by_turn: dict[int, dict[str, list[Measurement]]] = defaultdict(dict)
    for key in keys:
        for turn, run in enumerate(results["workloads"][key]):
            for case, measurements in run["cases"].items():
                by_turn[turn][case] = [Measurement(**one) for one in measurements]
    return list(by_turn.values())


def format_machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    peers = ", ".join(f"{name} {version}" for name, version in machine["peers"].items())
    failed = {
        library: why
        for found in results["workloads"].values()
        for run in found
        for library, why in run["missing"].items()
    }
    lines = [
        f"{machine['processor']}; {machine['system']}; Python {machine['Python']}, "
        f"NumPy {machine['NumPy']} with {machine['BLAS']}; {peers}. {machine['date']}.",
        *(f"Not loaded: {library} ({why})." for library, why in failed.items()),
    ]
    if results["quick"]:
        lines.append(
            "This was a quick run, with few rounds: the quartiles show how much to trust it."
        )
    return "\n\n".join(lines)


# ---------------------------------------------------------------------------- targets


def format_targets(cases: Mapping[str, list[Measurement]]) -> str:
    rows = [("case", "implementation", "at most", "measured", "", "best peer")]
    for target in TARGETS:
        if target.case not in cases:  # its workload was not run
            continue
        value = target.measured_value(cases)
        than = " or ".join(target.than) or unit_of(target.case)
        unit = {"ratio": f"× {than}" if than else "", "µs": "µs", "bytes": "bytes"}
        limit = f"{format_number(target.at_most)} {unit[target.quantity]}".strip()
        rows.append(
            (
                target.case,
                target.implementation,
                limit,
                "–" if value is None else format_number(value),
                target.verdict(cases),
                format_best_peer(target, cases),
            )
        )
    return format_markdown(rows)


def unit_of(case: str) -> str:
    if case.startswith("("):
        return "one copy"
    return "import numpy" if case == "whole process" else ""


def format_best_peer(target: Target, cases: Mapping[str, list[Measurement]]) -> str:
    """The fastest peer in the target's quantity."""
    found = {
        one.name: Target(target.case, one.name, 0, target.quantity).measured_value(cases)
        for one in cases.get(target.case, ())
        if is_peer(one.name)
    }
    values = {name: value for name, value in found.items() if value is not None}
    if not values or target.than:
        return ""
    name = min(values, key=lambda name: values[name])
    return f"{name} {format_number(values[name])}"


def is_peer(name: str) -> bool:
    return MICROGRADX not in name and not name.startswith((*YARDSTICKS, "the same"))


def format_slower_cases(cases: Mapping[str, list[Measurement]]) -> str:
    """The cases in which a peer is faster than microgradx, compiled or not."""
    rows = [("case", "microgradx", "faster")]
    for case, measurements in cases.items():
        ratios = [
            one.ratio for one in measurements if MICROGRADX in one.name and one.ratio is not None
        ]
        if not ratios:
            continue
        faster = sorted(
            (one.ratio, one.name)
            for one in measurements
            if is_peer(one.name) and one.ratio is not None and one.ratio < min(ratios)
        )
        if faster:
            names = ", ".join(f"{name} {format_number(ratio)}" for ratio, name in faster)
            rows.append((case, format_number(min(ratios)), names))
    return (
        format_markdown(rows) if len(rows) > 1 else "No peer is faster in any of the cases above."
    )


# ---------------------------------------------------------------------------- tables


def format_table(title: str, cases: Mapping[str, list[Measurement]]) -> str:
    names = list(dict.fromkeys(one.name for found in cases.values() for one in found))
    rows = [("", *cases)]
    for name in names:
        cells = []
        for measurements in cases.values():
            one = next((one for one in measurements if one.name == name), None)
            cells.append("" if one is None else format_cell(title, one))
        rows.append((name, *cells))
    return format_markdown(rows)


def format_cell(title: str, one: Measurement) -> str:
    if one.absent is not None:
        return "–"
    if title == "Long chains":
        size = f", {one.values['bytes']:.0f} B" if "bytes" in one.values else ""
        left = one.values.get("survivors", 0)
        return f"{format_duration(one.seconds)}{size}" + (
            f", {left:,.0f} objects left" if left else ""
        )
    if one.ratio is None:
        return ""
    if one.seconds is None:
        return f"{format_number(one.ratio)}, {one.values['bytes'] / 1e6:.1f} MB"
    if one.name in (REFERENCE, ONE_COPY, "import numpy") and one.ratio == 1:
        text = f"1 ({format_duration(one.seconds)})"
    else:
        text = f"{format_number(one.ratio)}"
        if one.quartiles:
            low, high = map(format_number, one.quartiles)
            text += f" ({low}–{high})" if low != high else ""
    if "accuracy" in one.values:
        text += f", {one.values['accuracy']:.1%}"
    if title == "Cross-entropy" and one.faults and one.faults >= 10:
        text += f", {one.faults:,.0f} page faults"
    return text


def format_notes(cases: Mapping[str, list[Measurement]]) -> str:
    """Why some cells have no time."""
    why: dict[tuple[str, str], list[str]] = defaultdict(list)
    for case, measurements in cases.items():
        for one in measurements:
            if one.absent is not None:
                why[one.name, one.absent].append(case)
    return "\n".join(
        f"* {name} ({'; '.join(places)}): {reason}." for (name, reason), places in why.items()
    )


def format_markdown(rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown, whose columns are aligned in the source too."""
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "| " + " | ".join("-" * max(3, width) for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def format_number(value: float) -> str:
    """A number with three digits, or with all digits before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    for unit, size in ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


# ---------------------------------------------------------------------------- the page


def write_page(path: Path, text: str) -> None:
    """Replace the text between the two marks of a page."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} lacks the lines {BEGIN} and {END}, between which the tables go")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
