"""detect_anomaly: what it reports, at which line, with which cause; and what it leaves alone."""

import asyncio
import contextlib
import gc
import threading
import types
import warnings
import weakref

import numpy as np
import pytest

import microgradx as mg
from microgradx.checking import anomaly
from microgradx.checking.anomaly import AnomalyError, detect_anomaly
from microgradx.graph.observers import observers
from tests.helpers import leaf


@pytest.fixture(autouse=True)
def _leaves_no_observer():
    yield
    assert observers.get() == ()
    assert anomaly._blocks.get() == ()


def reported(program):
    """The error of a program: of one that must have an anomaly."""
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        program()
    assert observers.get() == ()
    return caught.value


def line_of(error):
    with open(error.location.file) as file:
        return file.read().splitlines()[error.location.line - 1].strip()


def masked(logits, mask):
    return np.where(np.array(mask), leaf(logits), -np.inf)


class ChosenProbability(mg.nn.Module):
    def forward(self, x):
        return mg.softmax(x)[:1]


# ---------------------------------------------------------------------------- causes, forward

x16 = np.float16
FORWARD = {
    "log of softmax": (
        lambda: np.log(mg.softmax(leaf([0.0, 1000.0]))),
        "log",
        "log_softmax instead",
    ),
    "log2 of softmax": (
        lambda: np.log2(mg.softmax(leaf([0.0, 2e3]))),
        "log2",
        "log_softmax instead",
    ),
    "log10 of softmax": (
        lambda: np.log10(mg.softmax(leaf([0.0, 2e3]))),
        "log10",
        "log_softmax instead",
    ),
    "log of composed softmax": (
        lambda: np.log(mg.softmax(leaf([0.0, 1000.0]), fused=False)),
        "log",
        "a probability underflowed to 0, whose logarithm is -inf: pass the logits to cross_entropy",
    ),
    "log of softmax by hand": (
        lambda: np.log(np.exp(leaf([0.0, -800.0])) / np.exp(leaf([0.0, -800.0])).sum()),
        "log",
        "a probability underflowed",
    ),
    "singular": (
        lambda: np.linalg.slogdet(leaf([[1.0, 1.0], [1.0, 1.0]])),
        "slogdet",
        "the matrix is singular",
    ),
    "log of a density": (
        lambda: np.log(np.exp(-0.5 * leaf([0.0, 80.0]) ** 2) / 2.0),
        "log",
        "an exponential underflowed to 0: simplify the logarithm",
    ),
    "log of a chosen probability": (
        lambda: np.log(mg.softmax(leaf([[0.0, 1000.0]]))[[0], [0]]),
        "log",
        "a probability underflowed",
    ),
    "log of a probability that a module gave": (
        lambda: np.log(ChosenProbability()(leaf([0.0, 1000.0]))),
        "log",
        "a probability underflowed",
    ),
    "log of sigmoid": (lambda: np.log(mg.sigmoid(leaf(-1e3))), "log", "use logsigmoid(x)"),
    "log of 1 - sigmoid": (lambda: np.log(1 - mg.sigmoid(leaf(50.0))), "log", "logsigmoid(-x)"),
    "log of 0": (
        lambda: np.log(leaf([1.0, 0.0])),
        "log",
        "the logarithm of 0: keep its argument away from 0, for example np.maximum(x, 1e-12)",
    ),
    "log in np.where": (
        lambda: np.where(np.array([True, False]), np.log(leaf([1.0, 0.0])), 0),
        "log",
        "make the argument safe first: np.log(np.where(x > 0, x, 1))",
    ),
    "log of negative": (
        lambda: np.log(leaf([1.0, -2.5])),
        "log",
        "the logarithm of a negative number, -2.5",
    ),
    "log1p at -1": (lambda: np.log1p(leaf(-1.0)), "log1p", "x = -1 makes that ln 0"),
    "log1p below": (lambda: np.log1p(leaf(-2.0)), "log1p", "makes 1 + x negative"),
    "exp64": (lambda: np.exp(leaf(710.0)), "exp", "exp of more than 709.78 overflows in float64"),
    "exp32": (
        lambda: np.exp(leaf(89.0, dtype=np.float32)),
        "exp",
        "exp of more than 88.72 overflows in float32: subtract the maximum first",
    ),
    "exp16": (
        lambda: np.exp(leaf(11.1, dtype=x16)),
        "exp",
        "exp of more than 11.09 overflows in float16",
    ),
    "exp2": (lambda: np.exp2(leaf(1025.0)), "exp2", "exp2 of more than 1024 overflows"),
    "expm1": (lambda: np.expm1(leaf(710.0)), "expm1", "expm1 of more than 709.78"),
    "cosh": (lambda: np.cosh(leaf(711.0)), "cosh", "cosh of more than 710.48 overflows"),
    "0/0": (lambda: leaf(0.0) / leaf(0.0), "divide", "0/0: keep the divisor away from 0"),
    "0/0 of exponentials": (
        lambda: np.exp(leaf([-800.0])) / np.exp(leaf([-800.0])).sum(),
        "divide",
        "all exponentials underflowed",
    ),
    "x/0": (
        lambda: leaf([1.0, 2.0]) / leaf([1.0, 0.0]),
        "divide",
        "a division by 0: keep the divisor away from 0",
    ),
    "inf/inf": (
        lambda: leaf(1.0) * masked(1.0, False) / np.array(np.inf),
        "divide",
        "inf / inf: keep infinite masks out",
    ),
    "remainder": (lambda: np.remainder(leaf(1.0), 0.0), "remainder", "a division by 0"),
    "floor_divide": (lambda: np.floor_divide(leaf(1.0), 0.0), "floor_divide", "a division by 0"),
    "reciprocal": (lambda: np.reciprocal(leaf(0.0)), "reciprocal", "1/0: keep x away from 0"),
    "sqrt": (lambda: np.sqrt(leaf([4.0, -4.0])), "sqrt", "the root of a negative number, -4"),
    "0 to the -1": (lambda: leaf(0.0) ** -1.0, "power", "0 to a negative exponent is 1/0"),
    "negative base": (
        lambda: leaf([-8.0, 1.0]) ** (1 / 3),
        "power",
        "a negative base with a fractional exponent",
    ),
    "arcsin": (lambda: np.arcsin(leaf(1.5)), "arcsin", "arcsin is defined only from -1 to 1"),
    "arccos": (lambda: np.arccos(leaf(-1.5)), "arccos", "np.clip(x, -1, 1)"),
    "arccosh": (lambda: np.arccosh(leaf(0.5)), "arccosh", "is defined only for x >= 1"),
    "arctanh": (lambda: np.arctanh(leaf(1.0)), "arctanh", "finite only between -1 and 1"),
    "0 · inf": (lambda: leaf(0.0) * np.inf, "multiply", "0 · inf: to mask, use np.where"),
    "inf - inf": (
        lambda: masked([1.0, 2.0], [True, False]) - np.array([0.0, -np.inf]),
        "subtract",
        "inf - inf: two infinite masks meet",
    ),
    "sum of both infinities": (
        lambda: (leaf([1.0, 2.0]) + np.array([np.inf, -np.inf])).sum(),
        "sum",
        "infinities of both signs are summed",
    ),
    "var of inf": (lambda: np.var(masked([1.0, 2.0], [True, False])), "var", "inf - inf: the mean"),
    "matmul with inf": (
        lambda: masked([0.0, 2.0], [True, False]) @ leaf([1.0, 0.0]),
        "matmul",
        "an infinite mask is a factor of a matrix product",
    ),
    "all masked": (
        lambda: mg.softmax(masked([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, False]])),
        "softmax",
        "a row of logits contains only -inf",
    ),
    "all masked, log_softmax": (
        lambda: mg.log_softmax(masked([1.0, 2.0], [False, False])),
        "log_softmax",
        "a row of logits contains only -inf",
    ),
    "all masked, cross_entropy": (
        lambda: (
            mg.cross_entropy(
                masked([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, False]]), [0, 0], axis=0
            )
            * mg.cross_entropy(masked([[1.0, 2.0]], [[False, False]]), [0])
        ),
        "softmax_cross_entropy",
        "a row of logits contains only -inf",
    ),
    "logit of +inf": (
        lambda: mg.softmax(leaf([1.0, 2.0]) + np.array([np.inf, 0])),
        "softmax",
        "a logit is +inf",
    ),
    "label with probability 0": (
        lambda: mg.cross_entropy(masked([[1.0, 2.0]], [[True, False]]), [1]),
        "softmax_cross_entropy",
        "a label's class has the logit -inf, so probability 0",
    ),
    "smoothed label of probability 0": (
        lambda: mg.cross_entropy(masked([[1.0, 2.0]], [[True, False]]), [0], label_smoothing=0.1),
        "softmax_cross_entropy",
        "label_smoothing gives part of every target to a class whose logit is -inf",
    ),
    "cube of a small parameter": (
        lambda: leaf(50.0, dtype=x16) ** 3,
        "power",
        "overflow: the largest float16 is 65504; scale the numbers down",
    ),
    "all ignored": (
        lambda: mg.cross_entropy(leaf([[1.0, 2.0]]), [5], ignore_index=5),
        "softmax_cross_entropy",
        "every row is ignored",
    ),
    "matmul of grown parameters": (
        lambda: np.ones((2, 2), np.float32) * 1e10 @ leaf(np.full((2, 2), 1e30), "w", np.float32),
        "matmul",
        "the largest |weight| of 'w' is 1e+30. The learning rate is too large: lower it, or clip",
    ),
    "linear that overflows to both sides": (
        lambda: mg.linear(
            np.full((1, 2), 1e20, np.float32),
            leaf([[1e20, -1e20]], "w", np.float32),
            leaf([0.0], dtype=np.float32),
        ),
        "linear",
        "overflow: the largest float32 is 3.4028e+38. The parameters grew",
    ),
    "sum of grown parameters": (
        lambda: np.sum(leaf([1e308, 1e308], "w")),
        "sum",
        "overflow: the largest float64 is 1.7977e+308. The parameters grew",
    ),
    "multiply in float16": (
        lambda: leaf(50.0, dtype=x16) * np.array(2000, x16),
        "multiply",
        "overflow: the largest float16 is 65504; scale the numbers down, or compute in np.float32",
    ),
    "square in float32": (
        lambda: np.square(leaf(2.0, dtype=np.float32) * np.float32(1e25)),
        "square",
        "overflow: the largest float32 is 3.4028e+38; scale the numbers down, or compute in "
        "np.float64",
    ),
    "add in float16": (
        lambda: leaf(1.0, dtype=x16) * np.array(65504, x16) + np.array(65504, x16),
        "add",
        "overflow: the largest float16 is 65504",
    ),
    "add in float64": (
        lambda: np.add(leaf(1.0) * 1.7e308, 1.7e308),
        "add",
        "scale the numbers down, or compute with their logarithms",
    ),
}


@pytest.mark.parametrize(("program", "op", "cause"), FORWARD.values(), ids=FORWARD)
def test_a_forward_anomaly_is_reported_with_its_cause(program, op, cause):
    error = reported(program)
    assert str(error).startswith(f"the forward of {error.op!r} returned ")
    assert error.op.name == op
    assert cause in error.cause
    assert str(error).endswith(error.cause)
    assert error.location.file == __file__


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        (lambda: np.var(leaf([1.0]), ddof=1), "0/0: var and std need more elements than ddof"),
        (lambda: np.mean(leaf([])), "0/0: the mean of no elements"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # not of floating point, but of NumPy's code
def test_statistics_of_too_few_elements_are_reported_with_their_cause(program, cause):
    assert reported(program).cause == cause


class Divide(mg.Op):
    """A user's op with the name of one of the package's, and other inputs."""

    def forward(self, x):
        return x / 0.0

    def backward(self, g, out, x):
        return g


def test_a_users_op_is_asked_what_it_does_at_0():
    error = reported(lambda: Divide()(leaf([0.0])))
    assert str(error).startswith("the forward of divide returned NaN in 1 of 1 elements")
    assert error.cause is not None
    assert error.cause.startswith("an input is 0: does the op divide by it")
    assert "Divide()(leaf([0.0]))" in line_of(error)


# ---------------------------------------------------------------------------- causes, backward


def backward_of(f, *inputs, **settings):
    def program():
        f(*[leaf(x, **settings) for x in inputs]).sum().backward()

    return program


def built_before(f, *inputs):
    """The backward of a graph that was made before anybody watched."""
    with np.errstate(all="ignore"):
        out = f(*[leaf(x) for x in inputs]).sum()
    return out.backward


def where_positive(f):
    return lambda x: np.where(x.data > 0, f(x), 0)


BACKWARD = {
    "sqrt": (backward_of(np.sqrt, [4.0, 0.0]), "sqrt", "1 / (2 · 0): add a small number inside"),
    "cbrt": (backward_of(np.cbrt, [0.0]), "cbrt", "cube root at 0 is infinite"),
    "power": (backward_of(lambda x: x**0.5, [0.0]), "power", "at x = 0 is y · 0ʸ⁻¹"),
    "negative base": (
        backward_of(np.power, [-2.0], [2.0]),
        "power",
        "the derivative with respect to the exponent is xʸ ln x, and the base is negative",
    ),
    "where and power": (
        backward_of(where_positive(lambda x: x**0.5), [0.0, 1.0]),
        "power",
        "because np.where selected another, so the gradient 0 arrives, but the derivative is "
        "infinite",
    ),
    "where and arcsin": (
        backward_of(lambda x: np.where(x.data < 1, np.arcsin(x), 0), [1.0, 0.5]),
        "arcsin",
        "np.arcsin(np.where(np.abs(x) < 1, x, 0))",
    ),
    "where and log": (
        built_before(where_positive(np.log), [0.0, 1.0]),
        "log",
        "np.log(np.where(x > 0, x, 1))",
    ),
    "where and divide": (
        built_before(lambda x: np.where(x.data > 0, 1 / x, 0), [0.0, 1.0]),
        "divide",
        "x / np.where(y == 0, 1, y)",
    ),
    "log": (built_before(np.log, [0.0]), "log", "the logarithm at 0 is 1/0"),
    "log1p": (built_before(np.log1p, [-1.0]), "log1p", "log1p at -1 is 1/0"),
    "divide": (built_before(np.divide, [1.0], [0.0]), "divide", "a division by 0"),
    "reciprocal": (built_before(np.reciprocal, [0.0]), "reciprocal", "1/0"),
    "infinite factor": (
        backward_of(lambda x: x * np.inf, [2.0]),
        "multiply",
        "the other factor, which is infinite",
    ),
    "given gradient": (
        lambda: np.exp(leaf([1.0])).backward(np.array([np.nan])),
        "exp",
        "the gradient that arrived at it was not finite already",
    ),
    "overflow": (
        lambda: (leaf(1.0, dtype=np.float32) * np.float32(1e20)).backward(np.float32(1e20)),
        "multiply",
        "the gradient is too large. Overflow: the largest float32",
    ),
    "overflow in the sum over what was broadcast": (
        lambda: (leaf([1.0], dtype=x16) / np.ones(4, x16)).backward(np.full(4, 3e4, x16)),
        "divide",
        "the gradient is too large. Overflow: the largest float16 is 65504",
    ),
    "overflow in the cast": (
        lambda: leaf(1.0, dtype=x16).astype(np.float64).backward(1e6),
        "astype",
        "the gradient is too large. Overflow: the largest float16 is 65504",
    ),
}


@pytest.mark.parametrize(("program", "op", "cause"), BACKWARD.values(), ids=BACKWARD)
def test_a_backward_anomaly_is_reported_with_its_cause(program, op, cause):
    error = reported(program)
    assert str(error).startswith(f"the backward of {error.op!r} returned, for ")
    assert error.op.name == op
    assert cause in error.cause


def test_an_infinite_composed_loss_is_reported_when_its_backward_begins():
    logits = masked([[1.0, 2.0]], [[True, False]])
    error = reported(lambda: mg.cross_entropy(logits, [1], fused=False).backward())
    assert "cannot begin: the loss is inf" in str(error)
    assert "a label's class has the logit -inf" in error.cause


def test_a_graph_made_before_has_no_line_and_the_message_says_so():
    error = reported(built_before(np.sqrt, [0.0]))
    assert error.location is None
    assert (
        "at an unknown line, because it was called before detect_anomaly() began: put the"
        in str(error)
    )
    assert "forward inside the `with` too" in str(error)


def test_anomalies_of_second_derivatives_are_reported_as_such_of_gradients():
    x = leaf([0.0, 1.0])

    def second():
        (x**1.5).sum().backward(create_graph=True)
        x.grad.sum().backward()

    error = reported(second)
    assert str(error).startswith("the backward of power returned, for x, inf")
    x.grad = None
    error = reported(lambda: np.sqrt(x).sum().backward(create_graph=True))
    assert str(error).startswith("the backward of sqrt returned, for x, inf in 1 of 2 elements")
    assert "derivative of the root at 0" in error.cause


# ---------------------------------------------------------------------------- message and line


def test_the_message():
    weight = leaf([[1.0, -2.0], [0.5, 0.0]], "w")

    def program():
        hidden = weight * 2

        np.log(hidden)

    error = reported(program)
    assert str(error).split("\n")[:4] == [
        "the forward of log returned NaN and -inf in 2 of 4 elements, the first at index (0, 1)",
        f'  File "{__file__}", line {error.location.line}, in {error.location.function}',
        "      np.log(hidden)",
        "  x: float64 (2, 2), from -4 to 2",
    ]
    assert error.location.function.endswith("program")
    assert isinstance(error, FloatingPointError)
    assert mg.AnomalyError is AnomalyError
    assert mg.detect_anomaly is detect_anomaly


def test_ranges_of_inputs():
    x = mg.Tensor([[1.0, -np.inf, 3.0]], name="mask", dtype=np.float32)
    error = reported(lambda: x * leaf([0.0], "w"))
    assert [str(r) for r in error.ranges] == [
        "x, 'mask': float32 (1, 3), from -inf to 3, 1 inf",
        "y, 'w': float64 (1,), from 0 to 0",
    ]
    mask, w = error.ranges
    assert (mask.name, mask.shape, mask.dtype) == ("x, 'mask'", (1, 3), np.float32)
    assert (mask.min, mask.max, mask.nans, mask.infinities) == (-np.inf, 3, 0, 1)
    assert (w.min, w.max) == (0, 0)


def test_a_backward_anomaly_is_at_the_line_of_the_forward():
    x = leaf([0.0, 4.0])

    def program():
        doubled = x * 2
        root = np.sqrt(doubled)
        loss = root.sum()
        loss.backward()

    error = reported(program)
    assert line_of(error) == "root = np.sqrt(doubled)"
    assert "      root = np.sqrt(doubled)\n" in str(error)


class Entropy(mg.nn.Module):
    def __init__(self):
        self.layer = mg.nn.Linear(2, 2, generator=np.random.default_rng(0))

    def forward(self, x):
        p = mg.softmax(self.layer(x))
        return -(p * np.log(p)).sum()


def test_the_line_is_inside_the_users_module():
    net = mg.nn.Sequential(Entropy())
    error = reported(lambda: net(np.array([[1e4, -1e4]])))
    assert line_of(error) == "return -(p * np.log(p)).sum()"
    assert error.location.function.endswith("forward")


def test_the_line_is_outside_the_layers_of_the_package():
    net = mg.nn.Sequential(mg.nn.Linear(2, 2), mg.nn.Tanh())
    rows = np.array([[1.0, np.nan]])
    error = reported(
        lambda: net(
            rows,
        )
    )
    assert line_of(error) == "lambda: net("
    assert error.op.name == "linear"
    error = reported(lambda: mg.softmax(leaf([np.nan, 1.0]) * 1, fused=False))
    assert error.location.file == __file__


def test_frames_of_numpy_are_passed_over():
    error = reported(lambda: np.apply_along_axis(lambda row: row, 0, np.ones(2)) / leaf([0.0, 1]))
    assert error.location.file == __file__
    tensors = np.empty(1, object)
    tensors[0] = leaf(0.0)
    function = np.vectorize(mg.log, otypes=[object])  # called from a file of NumPy's
    error = reported(lambda: function(tensors))
    assert "function(tensors)" in line_of(error)


def test_without_source_there_is_no_line_of_text():
    program = compile("np.log(x)", "<nowhere>", "exec")
    error = reported(lambda: exec(program, {"np": np, "x": leaf(0.0)}))
    assert '\n  File "<nowhere>", line 1, in <module>\n  x: float64 ()' in str(error)


# ---------------------------------------------------------------------------- leaves


def test_nan_in_the_data_is_reported_as_such():
    rows = np.ones((3, 2), np.float32)
    rows[1, 1] = rows[2, 0] = np.nan
    error = reported(lambda: mg.nn.Linear(2, 2)(rows))
    assert (
        "the forward of linear received x, which was already NaN in 2 of 6 elements, the first at"
        in (str(error))
    )
    assert "index (1, 1)" in str(error)
    assert error.cause.startswith("the data contain NaN: remove such rows")


def test_nan_in_the_data_that_reaches_no_result_is_let_pass():
    x, w = mg.Tensor([1.0, np.nan]), leaf([2.0, 2.0])
    with detect_anomaly():
        (np.nan_to_num(x) * w).sum().backward()
        (np.where(np.isnan(x), 0, x) * w).sum().backward()
        (np.nansum(x) * w).sum().backward()
    np.testing.assert_array_equal(w.grad, [3, 1])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_parameter_that_is_not_finite_is_reported(bad):
    w = leaf([1.0, bad], "w")
    error = reported(lambda: np.where(np.array([True, False]), w, 0))
    assert (
        f"received y, 'w', a parameter, which was already {anomaly._kinds_of(np.array(bad))}"
        in (str(error))
    )
    assert "the learning rate is too large, or an earlier step went wrong" in error.cause


def test_a_parameter_without_a_name_among_many_inputs_is_called_by_its_number():
    parameters = [leaf([value]) for value in (1.0, 2.0, 3.0, np.inf)]
    error = reported(lambda: np.concatenate(parameters))
    assert error.cause.startswith("input 3 was not finite even before this op")


def test_nan_computed_before_is_reported_as_such():
    with np.errstate(all="ignore"):
        x = np.sqrt(leaf([-1.0]))
    error = reported(lambda: x * 2)
    assert "which was already NaN" in str(error)
    assert "it was computed before detect_anomaly() began" in error.cause


def test_infinities_computed_before_pass_if_they_are_of_a_mask():
    with np.errstate(all="ignore"):
        x = np.exp(leaf([1000.0]))
        z = masked([1.0, 2.0], [True, False]) * 2
    error = reported(lambda: x * 2)
    assert "received x, which was already inf in 1 of 1 elements" in str(error)
    assert "it was computed before detect_anomaly() began" in error.cause
    with detect_anomaly():
        (mg.softmax(z * 2)[0] * 2).backward()


def test_what_a_rule_computes_on_the_way_is_its_own_affair(monkeypatch):
    # A rule that forms ln 0 and then chooses otherwise.
    def by_x(g, out, x):
        return np.where(x == 0, 0, g * np.log(x))

    by_x = types.FunctionType(by_x.__code__.replace(co_filename=mg.__file__), by_x.__globals__)
    monkeypatch.setattr(mg.floor, "derivatives", (by_x,))
    x = leaf([0.0, 1.0])
    with detect_anomaly():
        gradient = mg.autograd.grad(np.floor(x).sum(), [x], create_graph=True)[0]
    np.testing.assert_array_equal(gradient.data, [0, 0])


def test_ops_inside_hooks_are_the_users():
    x = leaf([1.0])
    y = x * 2
    y.register_hook(lambda g: g * np.log(leaf(0.0)))
    error = reported(lambda: y.backward())
    assert "np.log(leaf(0.0))" in line_of(error)


def test_masks_of_inf_pass():
    logits = leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    mask = np.array([[True, True, False], [True, False, True]])
    with detect_anomaly():
        chosen = np.where(mask, logits, -np.inf)
        added = logits + np.where(mask, 0, -np.inf)
        for z in (chosen, added):
            for fused in (True, False):
                mg.softmax(z, fused=fused)[0, 0].backward()
                mg.log_softmax(z, fused=fused)[0, 0].backward()
                mg.cross_entropy(z, [0, 2], fused=fused).backward()
            mg.logsumexp(z, axis=1).sum().backward()
            np.max(z, axis=1).sum().backward()
            (np.exp(z * 2) * 3).sum().backward()
    assert np.isfinite(logits.grad).all()


def test_a_mask_hides_no_overflow_elsewhere():
    x = leaf([1.0, 1e200])
    error = reported(lambda: np.square(np.where(np.array([False, True]), x, -np.inf)))
    assert error.op.name == "square"


# ---------------------------------------------------------------------------- programs


def test_training_with_a_learning_rate_that_is_too_large(generator):
    x = generator.standard_normal((20, 3)).astype(np.float32)
    y = x @ np.ones((3, 1), np.float32)
    net = mg.nn.Sequential(
        mg.nn.Linear(3, 8, generator=generator), mg.nn.Linear(8, 1, generator=generator)
    )
    optimizer = mg.optim.SGD(net.parameters(), lr=10.0)

    def training():
        for _ in range(100):
            optimizer.zero_grad()
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()

    error = reported(training)
    assert "learning rate is too large" in error.cause
    assert line_of(error) == "loss = ((net(x) - y) ** 2).mean()"


def test_a_sound_training_is_not_changed(generator):
    def trained(block):
        net = mg.nn.MLP(2, [8], 3, generator=np.random.default_rng(0))
        optimizer = mg.optim.Adam(net.parameters(), lr=0.05)
        x = np.random.default_rng(1).standard_normal((30, 2)).astype(np.float32)
        with block:
            for _ in range(10):
                optimizer.zero_grad()
                mg.cross_entropy(net(x), np.arange(30) % 3).backward()
                optimizer.step()
        return [p.data for p in net.parameters()]

    for p, q in zip(trained(detect_anomaly()), trained(contextlib.nullcontext()), strict=True):
        np.testing.assert_array_equal(p, q)


# ---------------------------------------------------------------------------- the block


def test_off_nothing_is_watched():
    with np.errstate(all="ignore"):
        assert np.isnan(np.log(leaf(-1.0)).item())
    with detect_anomaly():
        assert len(observers.get()) == 1
    assert observers.get() == ()


def test_arrays_are_not_watched():
    with detect_anomaly():
        assert mg.log(np.array(0.0)) == -np.inf


def test_it_ends_with_any_exception():
    with pytest.raises(KeyError), detect_anomaly():
        raise KeyError
    assert observers.get() == ()


def test_warnings_are_silent_inside_and_as_before_after():
    before = np.geterr()
    with np.errstate(divide="raise"):
        with detect_anomaly():
            assert set(np.geterr().values()) == {"ignore"}
            np.log(np.array(0.0))
        assert np.geterr()["divide"] == "raise"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reported(lambda: np.log(leaf(0.0)))
    assert np.geterr() == before


def test_blocks_nest_also_the_same_one():
    block = detect_anomaly()
    with block:
        x = leaf([0.0])
        with block, detect_anomaly():
            assert len(observers.get()) == 1
            root = np.sqrt(x)
        assert len(observers.get()) == 1
        assert set(np.geterr().values()) == {"ignore"}
        with pytest.raises(AnomalyError) as caught:
            root.backward()
        assert line_of(caught.value) == "root = np.sqrt(x)"
        with pytest.raises(AnomalyError):
            np.log(x)
    assert observers.get() == ()


def test_as_a_decorator():
    @detect_anomaly()
    def f(x):
        return np.log(x)

    assert f(leaf(1.0)).item() == 0
    with pytest.raises(AnomalyError):
        f(leaf(0.0))
    assert observers.get() == ()
    with pytest.raises(TypeError, match=r"detect_anomaly\(\) cannot decorate g, which runs later"):

        @detect_anomaly()
        def g():
            yield


def test_only_the_thread_that_entered_is_watched():
    met = {}

    def unwatched():
        with np.errstate(all="ignore"):
            met["value"] = np.log(leaf(0.0)).item()

    def watched():
        with detect_anomaly():
            try:
                np.log(leaf(0.0))
            except AnomalyError as error:
                met["error"] = error
        assert observers.get() == ()  # not even by the other thread's block

    with detect_anomaly():
        for target in (unwatched, watched):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        assert met["value"] == -np.inf
        assert isinstance(met["error"], AnomalyError)
        with pytest.raises(AnomalyError):
            np.log(leaf(0.0))


def test_many_threads_at_once():
    found, barrier, block = [], threading.Barrier(8), detect_anomaly()

    def program(i):
        barrier.wait()
        for k in range(50):
            try:
                with block if i % 2 else contextlib.nullcontext(), np.errstate(all="ignore"):
                    np.log(leaf(0.0))
            except AnomalyError:
                found.append((i, k))

    threads = [threading.Thread(target=program, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(i, k) for i in (1, 3, 5, 7) for k in range(50)]


def test_asynchronous_code_is_watched_by_its_context():
    async def task(watch, entered):
        with detect_anomaly() if watch else contextlib.nullcontext(), np.errstate(all="ignore"):
            await asyncio.sleep(0)
            try:
                np.log(leaf(0.0))
            except AnomalyError:
                entered.append(True)
            else:
                entered.append(False)

    async def both():
        results = []
        await asyncio.gather(task(True, results), task(False, results), task(True, results))
        return results

    assert asyncio.run(both()) == [True, False, True]


def test_no_tensor_is_kept_alive_and_locations_are_forgotten():
    gc.collect()
    gc.disable()
    try:
        with detect_anomaly():
            (observer,) = observers.get()
            locations = observer.locations
            x = leaf([1.0])
            y = np.exp(x) * 2
            assert len(locations) == 2
            gone = weakref.ref(y)
            del y
            assert gone() is None
            assert locations == {}
            alive = x * 2
            assert list(locations) == [alive.sequence_number]
        assert locations == {}
    finally:
        gc.enable()


def test_a_long_chain():
    x = y = leaf(1.0)
    with detect_anomaly():
        for _ in range(20_000):
            y = y + 0.0
        y.backward()
        del y
    assert x.grad == 1
