"""NumPy's warnings of floating-point errors: whose line they name."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import microgradx as mg
from tests.helpers import leaf


def lines_of_warnings(function: Callable[[], Any]) -> set[tuple[str, str]]:
    """The functions and texts of the warnings that a call of a function here gives."""
    lines, start = inspect.getsourcelines(function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    for each in caught:
        assert each.filename == __file__
        assert start <= each.lineno < start + len(lines)
        assert each.category is RuntimeWarning
    return {str(each.message) for each in caught}


def test_forward_warnings_name_the_users_line():
    x = leaf(np.array([0.0, -1.0]))
    assert lines_of_warnings(lambda: np.log(x)) == {
        "divide by zero encountered in log",
        "invalid value encountered in log",
    }
    assert lines_of_warnings(lambda: x / 0) == {
        "divide by zero encountered in divide",
        "invalid value encountered in divide",
    }
    assert lines_of_warnings(lambda: (x - 1000) ** 400) == {"overflow encountered in power"}


def test_warnings_of_arrays_without_a_graph_do_so_too():
    assert lines_of_warnings(lambda: mg.log(np.zeros(2))) == {"divide by zero encountered in log"}


def test_backward_warnings_name_the_line_of_the_call():
    for differentiate in (
        lambda: mg.sqrt(leaf(np.zeros(2))).sum().backward(),
        lambda: mg.sqrt(leaf(np.zeros(2))).sum().backward(create_graph=True),
        lambda: mg.grad(mg.sqrt)(0.0),
        lambda: mg.jvp(mg.sqrt, 0.0, 1.0),
        lambda: mg.autograd.grad(mg.sqrt(x := leaf(np.zeros(()))), x),
    ):
        assert "divide by zero encountered in divide" in lines_of_warnings(differentiate)


def test_compiled_code_names_the_line_of_the_call():
    function = mg.compile(lambda x: np.log(x))
    function(np.ones(2))
    assert lines_of_warnings(lambda: function(np.zeros(2))) == {"divide by zero encountered in log"}
    model = mg.nn.Linear(2, 2)
    optimizer = mg.optim.SGD(model.parameters(), 0.0)
    step = mg.compile(model, lambda out, y: np.mean(np.log(np.abs(out) * 0)), optimizer)
    texts = lines_of_warnings(lambda: step(np.ones((1, 2), np.float32), np.ones(1)))
    assert "divide by zero encountered in log" in texts


def test_each_line_warns_once_by_default():
    x = leaf(np.zeros(2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            np.log(x)
        np.log(x)
    assert len(caught) == 2


def test_what_was_set_by_errstate_holds():
    x = leaf(np.zeros(2))
    with np.errstate(divide="ignore"):
        assert lines_of_warnings(lambda: np.log(x)) == set()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        np.log(x)
    seen: list[str] = []
    with np.errstate(divide="call", call=lambda kind, flag: seen.append(kind)):
        np.log(x)
    assert seen == ["divide by zero"]
    with np.errstate(under="warn"):
        assert lines_of_warnings(lambda: np.exp(x - 1000)) == {"underflow encountered in exp"}


def test_nothing_stays_set():
    before = np.geterr(), np.geterrcall()
    x = leaf(np.ones(2))
    np.exp(x).sum().backward()
    with pytest.raises(ValueError, match="matmul"):
        x @ np.ones(3)
    assert (np.geterr(), np.geterrcall()) == before
