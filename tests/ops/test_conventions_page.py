"""docs/conventions.md, read and computed: each row of its tables, and that no op is missing."""

import re
from pathlib import Path

import numpy as np
import pytest

import microgradx as mg
from tests.ops.test_table import TABLE

PAGE = (Path(__file__).parents[2] / "docs" / "conventions.md").read_text(encoding="utf-8")
FUNCTIONS = mg.nn.functional
NAMES = {
    **{name: getattr(FUNCTIONS, name) for name in FUNCTIONS.__all__},
    **{name: getattr(mg, name) for name in dir(mg) if not name.startswith("_")},
    "np": np,
    "nan": np.nan,
    "inf": np.inf,
}

ROWS = re.findall(r"^\| `(.+)` \| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
MATRICES = re.findall(r"Their (first|second) derivatives:\n\n(.+?)\n\n", PAGE, re.DOTALL)
AT_POINTS = [
    (name, order, point, value)
    for order, table in MATRICES
    for header, *rows in [[line.strip("| ").split(" | ") for line in table.splitlines()]]
    for name, *values in rows[1:]
    for point, value in zip(header[1:], values, strict=True)
]
VECTOR_ROWS = [row for row in ROWS if not any(row[0] == name.strip("`") for name, *_ in AT_POINTS)]


def numbers(text):
    return np.array(eval(text, dict(NAMES)), float)


@pytest.mark.parametrize(("function", "x", "first", "second"), VECTOR_ROWS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_row_of_both_derivatives(function, x, first, second):
    f = eval(f"lambda x: np.sum({function})", dict(NAMES))
    x = numbers(x)
    np.testing.assert_allclose(mg.grad(f)(x), numbers(first), atol=5e-5)
    np.testing.assert_allclose(mg.hvp(f, x, np.ones_like(x)), numbers(second), atol=5e-5)


@pytest.mark.parametrize(("name", "order", "point", "value"), AT_POINTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_derivative_at_a_point(name, order, point, value):
    derivative = mg.grad if order == "first" else mg.hessian
    found = derivative(getattr(mg, name.strip("`")))(numbers(point))
    np.testing.assert_allclose(found, numbers(value), atol=5e-5)


def test_the_page_is_about_every_op():
    assert len(VECTOR_ROWS) > 100
    assert len(AT_POINTS) > 400
    words = set(re.findall(r"\w+", PAGE))
    told = [NAMES[word] for word in words if word in NAMES]
    missing = {name for name in TABLE if name in NAMES and name not in words}
    # Another name of an op on the page, such as acos, needs no row of its own.
    assert [name for name in missing if not any(NAMES[name] is f for f in told)] == []
