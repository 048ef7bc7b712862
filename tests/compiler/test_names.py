"""Names reach generated source as identifiers, or as text that does nothing, whatever they are."""

import ast
import builtins
import enum
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microgradx as mg
from microgradx import nn, optim
from microgradx.compiler.tracing import CaptureError

NAMES = [
    *('"""\nimport builtins; builtins.ran()\n"""', "x\nimport builtins; builtins.ran()\n#"),
    *("'''", '"', "\\", '\\"""', "a\r\nb", "a\x0cb", "a\x85b", "a\u2028b", "\x00", "#", ""),
    *("{0}", "{}", "{x!r}", "{0.__class__}", "%s", "$x", "…", "²", "0", " ", "\ud800", "a" * 5000),
    *("None", "lambda", "match", "__debug__", "\ufb01", "fi", "\U0001d422\U0001d41f", "épsilon"),
    *("np", "step", "float", "exp", "erf_of_numbers", "make_function", "result", "X_rows", "order"),
]

ANY_NAME = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.text("\"'\\\n\r{}#;:()[]= \tx\u2028"),
    st.lists(st.sampled_from(NAMES), max_size=3).map("".join),
)

X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
Y = np.ones(4, np.float32)


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    """What stands in a name is not executed."""
    ran = []
    monkeypatch.setattr(builtins, "ran", lambda: ran.append(1), raising=False)
    yield
    assert not ran


def as_class_name(name):
    """Python itself refuses these in names of classes."""
    return name.encode("utf-8", "replace").decode().replace("\0", "")


def compile_function(name):
    def function(x, **others):
        return mg.erf(np.exp(x)) * sum(others.values())

    function.__name__ = function.__qualname__ = name
    compiled = mg.compile(mg.value_and_grad(lambda x, **others: np.sum(function(x, **others))))
    compiled(X, **{f"k{name}": X + 1, f"{name}l": X - 1})
    called = mg.compile(function)
    keyword = {name: X} if name != "x" else {"y": X}
    np.testing.assert_allclose(called(X, **keyword), function(X, **keyword), rtol=1e-6)
    return compiled.source, called.source


def compile_step(name):
    class Own(mg.Op):
        def forward(self, x):
            return x * 1.5

        def backward(self, g, out, x):
            return g * 1.5

    Own.name, Own.formula = name, f"x · 1.5 {name}"

    def forward(self, x):
        return mg.sum(self.linear(x) * self.scale, axis=-1)

    def loss(z, y):
        return mg.sum(Own()(z) * y) + mg.sum(vars(net)[f"_{name}"] * net.constant)

    net = type(as_class_name(name), (nn.Module,), {"forward": forward})()
    net.linear = nn.Linear(2, 2, generator=np.random.default_rng(0))
    for attribute in ("scale", f"_{name}", f"{name}b"):
        values = np.ones(2, np.float32)
        vars(net)[attribute] = mg.Tensor(values, requires_grad=True, name=name)
    net.constant = mg.Tensor([np.inf, -np.inf], dtype=np.float32, name=name)
    loss.__name__ = loss.__qualname__ = name
    kind = type(as_class_name(name), (optim.SGD,), {})
    step = mg.compile(net, loss, kind([*net.parameters()], 0.1))
    with np.errstate(all="ignore"):
        step(X, Y)
    return step


def structure(source):
    return [type(node) for node in ast.walk(ast.parse(source))]


PLAIN_FUNCTIONS = [structure(source) for source in compile_function("plain")]
PLAIN_STEP = structure(compile_step("plain").source)


@pytest.mark.parametrize("name", NAMES)
def test_names_change_nothing_but_names(name, tmp_path):
    assert [structure(source) for source in compile_function(name)] == PLAIN_FUNCTIONS
    step = compile_step(name)
    assert structure(step.source) == PLAIN_STEP
    assert max(map(len, step.source.splitlines())) < 1000


@settings(max_examples=40, deadline=None)
@given(name=ANY_NAME)
def test_any_name(name):
    assert [structure(source) for source in compile_function(name)] == PLAIN_FUNCTIONS
    assert structure(compile_step(name).source) == PLAIN_STEP


def test_a_source_with_such_names_runs_by_itself(tmp_path):
    path = tmp_path / "step.py"
    compile_step('"""\nraise SystemExit(3)\n"""\\').save(path)
    run = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True)
    assert (run.returncode, run.stdout.count("epoch")) == (0, 10), run.stderr


def test_names_that_python_reads_alike_are_two_variables():
    def function(**arrays):
        first, second = arrays.values()
        return first - 2 * second

    compiled = mg.compile(function)
    arrays = {"fi": X, "\ufb01": X + 1}  # the letters, and the ligature of both
    np.testing.assert_array_equal(compiled(**arrays), X - 2 * (X + 1))


# ---------------------------------------------------------------------------- settings


class Axis(enum.IntEnum):
    ROWS = 0


class Treacherous:
    def __repr__(self):
        return "__import__('builtins').ran()"


class TreacherousInt(int):
    __repr__ = Treacherous.__repr__


class TreacherousStr(str):
    __repr__ = Treacherous.__repr__


def test_settings_are_written_as_what_they_are():
    for axis in (Axis.ROWS, TreacherousInt(1)):
        compiled = mg.compile(lambda x, axis=axis: np.cumsum(x, axis=axis) * 2)
        np.testing.assert_allclose(compiled(X), np.cumsum(X, axis=axis) * 2)
    mode = TreacherousStr("wrap")
    compiled = mg.compile(lambda x: np.take(x, [5, 1], 0, mode=mode))
    np.testing.assert_array_equal(compiled(X), X[[1, 1]])


def test_arguments_that_have_no_text_are_refused():
    class Index(Treacherous):
        def __index__(self):
            return 0

    index = Index()
    with pytest.raises(CaptureError, match=r"'builtins'\).ran\(\)\", a Index, which the source of"):
        mg.compile(lambda x: np.cumsum(x, axis=index))(X)


def exp(x):
    return x


exp.__module__ = "numpy\nimport builtins; builtins.ran()\n"


@pytest.mark.parametrize("function", [exp, np.frompyfunc(lambda x: 7.0, 1, 1)])
def test_only_functions_of_numpy_itself_are_called(function):
    def call(x):
        if isinstance(function, np.ufunc):
            return function(x)
        return x.__array_function__(function, (type(x),), (x,), {})

    with pytest.raises(CaptureError, match="is not a NumPy function, and a compiled program can"):
        mg.compile(call)(X)


def test_a_function_that_is_named_like_one_of_math_is_not_it():
    def erf(x):
        return 7.0

    with pytest.raises(CaptureError, match="is not a NumPy function"):
        mg.compile(np.frompyfunc(erf, 1, 1))(X)


def test_arrays_that_hold_no_numbers_are_refused():
    records = np.zeros(3, [('"""\nimport builtins; builtins.ran()\n"""', float), ("b", int)])
    with pytest.raises(CaptureError, match="a compiled program computes with real numbers"):
        mg.compile(lambda x: np.concatenate([x, x]))(records)
    with pytest.raises(CaptureError, match="a compiled program computes with real numbers"):
        mg.compile(lambda x: np.concatenate([x, x]))(np.array(["a", "b"]))
