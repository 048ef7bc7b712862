"""Two arrays that differ as a table in text: both, and their difference, side by side."""

from __future__ import annotations

import numpy as np

from microgradx.arrays.types import Array

__all__ = ["format_mismatch_table"]

#: How many are shown at most.
ROWS, COLUMNS = 5, 4


def format_mismatch_table(analytic: Array, numeric: Array, error_ratio: Array) -> list[str]:
    """The region around the worst element, with its row marked; "·" where nothing was sampled.

    Of more than two axes, the last two are shown, at the worst element's index in the others. A
    vector is shown as a column.
    """
    worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(error_ratio)), error_ratio.shape))
    plane = worst[:-2]
    row, column = (*worst[-2:], 0, 0)[:2]
    rows, columns = (*analytic.shape[-2:], 1, 1)[:2]
    top = max(0, min(row - ROWS // 2, rows - ROWS))
    left = max(0, min(column - COLUMNS // 2, columns - COLUMNS))

    def window(array: Array) -> Array:
        matrix = np.asarray(array, float)[plane].reshape(rows, columns)
        return matrix[top : top + ROWS, left : left + COLUMNS]

    with np.errstate(invalid="ignore"):
        difference = analytic - numeric
    blocks = []
    for title, array in [("analytic", analytic), ("numeric", numeric), ("difference", difference)]:
        cells = np.array([[_format_cell(value, title) for value in line] for line in window(array)])
        width = max(7, *map(len, cells.flat))
        lines = [" ".join(cell.rjust(width) for cell in line) for line in cells]
        blocks.append([title.center(len(lines[0])), *lines])
    lines = [" │ ".join(parts) for parts in zip(*blocks, strict=True)]
    lines[1 + row - top] += "  ◀"
    if analytic.size > ROWS * COLUMNS:
        corner = (*plane, top, left)[: analytic.ndim]
        lines.append(
            f"(showing the region that starts at index {corner[0] if len(corner) == 1 else corner})"
        )
    return [f"    {line.rstrip()}" for line in lines]


def _format_cell(value: float, title: str) -> str:
    return "·" if np.isnan(value) and title != "analytic" else f"{value:.4g}"
