"""A picture of the results: a line for each case, a mark for each implementation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import REFERENCE, Measurement

# Colours of Okabe and Ito (2008), which readers with any colour vision can tell apart; the marks
# differ as well. Those of microgradx are large.
STYLES: dict[str, tuple[str, str, int]] = {
    "microgradx": ("#0072b2", "o", 70),
    "microgradx, compiled": ("#d55e00", "D", 60),
    "NumPy by hand, preallocated": ("#68727e", "|", 90),
    "JAX, jit": ("#009e73", "s", 30),
    "PyTorch": ("#cc79a7", "^", 34),
    "torch.compile": ("#e69f00", "v", 34),
    "MyGrad": ("#56b4e9", "P", 34),
    "HIPS autograd": ("#4a525c", "x", 22),
    "scikit-learn": ("#b8a800", "*", 44),
}
INK, QUIET, RULE = "#22272e", "#68727e", "#e3e7eb"

SYNONYMS = {
    "import microgradx": "microgradx",
    "JAX, jit of one vector": "JAX, jit",
    "JAX, no jit": "JAX, jit",
    "JAX": "JAX, jit",
}

# The names of cases in the picture, where no title of a table explains them.
LABELS = {
    "W1, SGD": "step of 2-16-16-2, SGD",
    "W2, SGD": "step of 64-64-32-10, SGD",
    "W2, Adam": "step of 64-64-32-10, Adam",
    "W3, SGD": "step of 784-256-128-10, SGD",
    "W3, peak memory": "peak memory of that step",
    "per op": "small ops",
    "whole process": "import",
    "30 epochs": "30 epochs of digits",
    "W2's loss": "Hessian-vector product",
}


def label(case: str) -> str:
    if case.startswith("("):
        return f"cross-entropy {case}"
    if case.endswith(" nodes"):
        return f"chain of {case.removesuffix(' nodes')}"
    return LABELS.get(case, case.replace("step, ", "step of a CNN, "))


def draw(cases: Mapping[str, list[Measurement]], path: Path) -> bool:
    """Draw all cases into a PNG; False if matplotlib is not installed."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, NullFormatter
    except ImportError:
        return False
    style = {
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": "#b4bcc6",
        "axes.labelcolor": QUIET,
        "xtick.color": QUIET,
        "ytick.color": INK,
    }
    with rc_context(style):
        figure = Figure(figsize=(9.5, 1.6 + 0.3 * len(cases)), layout="constrained")
        axes = figure.subplots()
        seen: set[str] = set()
        for row, measurements in enumerate(cases.values()):
            ratios: dict[str, float] = {}
            for one in measurements:
                name = SYNONYMS.get(one.name, one.name)
                if one.ratio is not None:
                    ratios[name] = min(one.ratio, ratios.get(name, one.ratio))
            unit = ratios.get(REFERENCE, 1.0)
            for name in filter(ratios.get, STYLES):
                ratio = ratios[name]
                colour, mark, size = STYLES[name]
                axes.scatter(
                    ratio / unit,
                    row,
                    s=size,
                    color=colour,
                    marker=mark,
                    linewidths=1.4 if mark in "|x" else 0.8,
                    edgecolors=None if mark in "|x" else "white",
                    zorder=4 if name.startswith("microgradx") else 3,
                    label=None if name in seen else name,
                )
                seen.add(name)
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(cases)), [label(case) for case in cases])
        axes.set_ylim(len(cases) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="both", color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_xlabel("time (or memory), as a multiple of hand-written NumPy's: left is better")
        handles, names = axes.get_legend_handles_labels()
        order = sorted(range(len(names)), key=lambda i: list(STYLES).index(names[i]))
        figure.legend(
            [handles[i] for i in order],
            [names[i] for i in order],
            loc="outside upper left",
            ncols=5,
            frameon=False,
            handletextpad=0.2,
            columnspacing=1.4,
        )
        figure.savefig(path, dpi=150, facecolor="white")
    return True
