"""gradcheck names the mistake: on planted ones, those of others among them, and only those."""

import numpy as np
import pytest

import microgradx as mg
from tests.checking.planted_mistakes import PLANTED as PLANTED_BLINDLY
from tests.checking.student_mistakes import MISTAKES as STUDENTS
from tests.checking.wrong_rules import wrong

GENERATOR = np.random.default_rng(3)


def normal(*shape):
    return GENERATOR.normal(size=shape)


def positive(*shape):
    return GENERATOR.uniform(0.5, 2, size=shape)


# By kind: what the message must say, the op, its inputs.
MISTAKES = {
    "constant factor": [
        (
            "-1 at every element: the sign",
            wrong(np.sin, lambda g, out, x: -g * np.cos(x)),
            [normal(3)],
        ),
        ("is 2 ", wrong(np.square, lambda g, out, x: 4 * g * x), [normal(3, 4)]),
        (
            "5 is the length of axis 0 of input 0, the number of rows",
            wrong(lambda x: np.mean(x, axis=0), lambda g, out, x: np.broadcast_to(g, x.shape)),
            [normal(5, 3)],
        ),
        (
            "is 1/12 at every element. 12 is the number of elements",
            wrong(np.sum, lambda g, out, x: np.broadcast_to(g / x.size, x.shape)),
            [normal(3, 4)],
        ),
        ("is 1.001 ", wrong(np.exp, lambda g, out, x: g * out * 1.001), [normal(4)]),
    ],
    "transposed": [
        (
            "the transpose of the gradient",
            wrong(lambda x, w: x @ w, lambda g, out, x, w: (g @ w.T, g.T @ x)),
            [normal(4, 3), normal(3, 3)],
        ),
        (r"of shape (5, 2)", wrong(lambda x: x.T * 2.0, lambda g, out, x: 2.0 * g), [normal(2, 5)]),
    ],
    "missing sum": [
        (
            "only index 0 of the output's axis 0",
            wrong(lambda x, b: x + b, lambda g, out, x, b: (g, g[0])),
            [normal(4, 3), normal(3)],
        ),
        (
            "only index 2 of the output's axis 1",
            wrong(
                lambda x, s: x * s[:, None], lambda g, out, x, s: (g * s[:, None], (g * x)[:, -1])
            ),
            [normal(4, 3), normal(4)],
        ),
        (
            "np.add.at",
            wrong(lambda x: x[[0, 2, 0, 2]], lambda g, out, x: np.stack([g[2], 0 * g[1], g[3]])),
            [normal(3, 2)],
        ),
    ],
    "double sum": [
        (
            "axis 0 of the input",
            wrong(lambda x, b: x + b, lambda g, out, x, b: (g, np.full(b.shape, np.sum(g)))),
            [normal(4, 3), normal(3)],
        ),
        (
            "axes 0 and 1",
            wrong(lambda x: 3.0 * x, lambda g, out, x: 3.0 * np.sum(g)),
            [normal(2, 3)],
        ),
    ],
    "missing factor": [
        ("the derivative of tanh is missing", wrong(np.tanh, lambda g, out, x: g), [normal(3)]),
        ("1 / (x)", wrong(np.square, lambda g, out, x: 2 * g), [normal(3)]),
        (
            "the derivative of sigmoid is missing",
            wrong(lambda x, w: mg.sigmoid(x @ w), lambda g, out, x, w: (g @ w.T, x.T @ g)),
            [normal(4, 3), normal(3, 2)],
        ),
        ("out", wrong(np.reciprocal, lambda g, out, x: -g * out), [positive(3)]),
    ],
    "one of several uses": [
        (
            "uses this input 2 times, and the rule leaves out the use in tanh",
            wrong(lambda x: x * np.tanh(x), lambda g, out, x: g * np.tanh(x)),
            [normal(3)],
        ),
        ("2 times", wrong(lambda x: x * x, lambda g, out, x: g * x), [normal(3, 2)]),
        (
            "the result of exp",
            wrong(
                lambda x: (
                    np.exp(x) / (1 + np.exp(x)) if not isinstance(x, mg.Tensor) else _shared(x)
                ),
                lambda g, out, x: g * np.exp(x) / (1 + np.exp(x)),
            ),
            [normal(3)],
        ),
    ],
    "kink": [
        ("0 from the left", mg.relu, [np.array([-1.0, 0.0, 2.0])]),
        ("a tie", np.floor, [np.array([1.0, 1.5])]),
        ("a tie", mg.max, [np.array([1.0, 3.0, 3.0, 3.0])]),
        ("does not even lie between", lambda x: Zealous()(x), [np.array([0.0, 1.0])]),
        ("the function's domain ends: on one side", lambda x: np.sqrt(x), [np.array([0.0, 1.0])]),
    ],
    "not finite": [
        ("NaN or infinite at 1 of its elements", np.log, [np.array([1.0, 0.0])]),
        (
            "at 1 of 2 elements",
            wrong(lambda x: x**2, lambda g, out, x: g * 2 * x**3 / x),
            [np.array([0.0, 1.0])],
        ),
    ],
    "outside the first row": [
        (
            "correct at index 0 of axis 0",
            wrong(
                lambda x: x / np.sum(x * x, axis=1, keepdims=True),
                lambda g, out, x: _by_row_0(g, x),
            ),
            [normal(3, 4)],
        ),
        (
            "fill in only the first row",
            wrong(lambda x: 2 * x, lambda g, out, x: 2 * g * (np.arange(len(x)) == 0)[:, None]),
            [normal(3, 4)],
        ),
    ],
    "coarse dtype": [
        (
            "float32 or less",
            wrong(
                lambda x: np.exp(x.astype(np.float32)).astype(float),
                lambda g, out, x: g * np.exp(x),
            ),
            [normal(5)],
        ),
        (
            "float32 or less",
            wrong(
                lambda x: np.sum(np.tanh(np.float16(x)), axis=0, dtype=float),
                lambda g, out, x: g * (1 - np.tanh(x) ** 2),
            ),
            [normal(4, 3)],
        ),
    ],
    "missing gradient": [
        (
            "returns None",
            wrong(lambda x, y: x * y, lambda g, out, x, y: (g * y, None)),
            [normal(2), normal(2)],
        ),
        ("detach", lambda x: mg.sum(mg.as_tensor(x.data) * 2.0), [normal(3)]),
        ("only zeros", wrong(np.exp, lambda g, out, x: 0 * g), [normal(3)]),
    ],
    "non-deterministic": [
        (
            "the forward of wrong",
            wrong(lambda x: x * GENERATOR.normal(), lambda g, out, x: g),
            [normal(3)],
        ),
        ("dropout", lambda x: x * GENERATOR.normal(), [normal(3)]),
    ],
    "upstream gradient ignored": [
        ("does not use g", wrong(np.exp, lambda g, out, x: out), [normal(3)]),
        (
            "does not use g",
            wrong(lambda x, w: x @ w, lambda g, out, x, w: (g @ w.T, x.T @ np.ones_like(g))),
            [normal(4, 3), normal(3, 2)],
        ),
    ],
    "error in the rule": [
        (
            "has no attribute",
            wrong(
                lambda x: x * 2,
                lambda g, out, x: (_ for _ in ()).throw(ValueError("has no attribute")),
            ),
            [normal(3)],
        ),
    ],
}
PLANTED = [(kind, *mistake) for kind, group in MISTAKES.items() for mistake in group]


def _shared(x):
    e = np.exp(x)
    return e / (1 + e)


def _by_row_0(g, x):
    """Right for the norm of row 0 only."""
    s = np.sum(x * x, axis=1, keepdims=True)[:1]
    return g / s - 2 * x * np.sum(g * x, axis=1, keepdims=True) / s**2


class Zealous(mg.Op):
    """|x|, whose derivative at 0 is 7."""

    def forward(self, x):
        return np.abs(x)

    def backward(self, g, out, x):
        return g * np.where(x == 0, 7, np.sign(x))


@pytest.mark.parametrize(
    ("kind", "says", "function", "inputs"),
    [pytest.param(*planted, id=f"{planted[0]}-{i}") for i, planted in enumerate(PLANTED)],
)
def test_a_planted_mistake_is_named(kind, says, function, inputs):
    report = mg.gradcheck(function, inputs, raise_exception=False)
    assert report.cause == kind, report.message
    assert says in " ".join(report.message.split()), report.message
    assert not report


@pytest.mark.slow
@pytest.mark.parametrize(
    "planted", PLANTED_BLINDLY, ids=lambda planted: f"{planted.kind}-{planted.name}"
)
def test_a_mistake_planted_by_somebody_else_is_named(planted):
    report = mg.gradcheck(planted.function, planted.inputs, raise_exception=False)
    assert report.cause == planted.kind, report.message


@pytest.mark.slow
@pytest.mark.parametrize("mistake", STUDENTS, ids=lambda mistake: mistake.name)
def test_a_students_mistake_is_found_and_no_false_cause_named(mistake):
    report = mg.gradcheck(mistake.op, mistake.inputs, raise_exception=False)
    assert not report
    kinds = {cause.kind for cause in report.causes} or {None}
    assert kinds <= set(mistake.kinds), report.message
    if kinds != {None}:
        # The same in a longer function, at another scale, and next to a larger output.
        def f(*inputs):
            return 1e-10 * mistake.op(*inputs), 1e3 * np.cos(inputs[0])

        report = mg.gradcheck(f, mistake.inputs, raise_exception=False)
        assert {cause.kind for cause in report.causes} <= set(mistake.kinds), report.message
        assert report.op is mistake.op


@pytest.mark.parametrize(
    ("op", "inputs", "says"),
    [
        (
            wrong(lambda x, y: x * y, lambda g, out, x, y: (g * x, g * y)),
            [normal(3), normal(3)],
            "the rule returns the gradients at y, x, in this order",
        ),
        (
            wrong(np.tanh, lambda g, out, x: g * (1 - x**2)),
            [normal(3)],
            "the rule is right with out in place of x",
        ),
        (
            wrong(np.tanh, lambda out, g, x: g * (1 - out**2)),
            [normal(3)],
            "would be right if it were called as backward(out, g, x)",
        ),
        (wrong(np.tanh, lambda g, out, x: None), [normal(3)], "is a `return` missing?"),
        (wrong(np.tanh, lambda g, x: g), [normal(3)], "takes 2 positional arguments but 3"),
        (wrong(np.exp, lambda g, out, x: g * out.value), [normal(3)], "no attribute 'value'"),
    ],
)
def test_the_classics_are_told_in_words(op, inputs, says):
    report = mg.gradcheck(op, inputs, raise_exception=False)
    assert says in " ".join(report.message.split())
    assert report.op is op


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [[0.0, 0.0], [1.0, 2.0]], [1.0, -1.0]])
def test_values_at_which_mistakes_look_alike_are_no_evidence(values):
    """x, x² and x³ are equal at 0 and 1, so the first row is right by chance."""
    for rule in (lambda g, out, x: 3 * g * x, lambda g, out, x: 3 * g * x**3):
        op = wrong(lambda x: x**3, rule)
        report = mg.gradcheck(op, np.array(values), raise_exception=False)
        assert report or report.cause == "missing factor", report.message


def test_there_are_mistakes_enough_of_every_kind():
    theirs = [planted.kind for planted in PLANTED_BLINDLY]
    assert len(PLANTED) + len(theirs) >= 30
    assert len(theirs) >= 10
    for kind in MISTAKES.keys() - {"not finite", "error in the rule"}:
        assert theirs.count(kind) >= 2, kind
        assert [k for k, *_ in PLANTED].count(kind) >= 2, kind


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_where_no_cause_fits_none_is_named(seed):
    """Gradients that are wrong for no reason, or for several at once."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(4, 3))
    x, w = generator.normal(size=(4, 3)), generator.normal(size=(3, 3))
    several = (
        wrong(np.sin, lambda g, out, x: g * np.cos(x) + noise),
        wrong(np.tanh, lambda g, out, x: g * np.cosh(noise) * (1 - out**2)),
        wrong(lambda x: x * x, lambda g, out, x: g * (1.5 * x + 0.2)),
        wrong(lambda x: x @ w, lambda g, out, x: g @ (w.T + 0.1 * w)),
    )
    for function in several:
        report = mg.gradcheck(function, x, raise_exception=False)
        assert not report
        assert report.cause is None, report.message
        assert report.op is function


def test_the_op_to_blame_is_named_inside_a_longer_function():
    scale = wrong(lambda x, s: x * s, lambda g, out, x, s: (g * s, -g * x))
    type(scale).name = "scale"

    def f(x, s):
        return np.sum(np.tanh(scale(np.exp(x), s)) ** 2, axis=0)

    report = mg.gradcheck(f, [normal(4, 3), normal(3)], raise_exception=False)
    assert report.op is scale
    assert "likely cause, in the rule of scale, for its input 1: constant factor" in report.message
    assert [mismatch.input for mismatch in report.mismatches] == [1, 1, 1]


def test_a_kink_elsewhere_does_not_hide_the_mistake():
    op = wrong(np.sin, lambda g, out, x: -g * np.cos(x))
    report = mg.gradcheck(
        lambda x: op(mg.relu(x)), np.array([0.0, 1.0, 2.0]), raise_exception=False
    )
    assert report.op is op
    assert report.cause == "constant factor"


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, out, x: g * np.exp(x.data if isinstance(x, mg.Tensor) else x),
        lambda g, out, x: g * (out.detach() if isinstance(out, mg.Tensor) else out),
    ],
)
def test_a_constant_in_a_rule_is_seen_in_the_second_order(rule):
    op = wrong(np.exp, rule)
    assert mg.gradcheck(op, normal(3))
    report = mg.gradcheck(op, normal(3), order=2, raise_exception=False)
    assert report.cause == "constant in the rule"
    assert report.op is op


INSIDE = {
    "norm": lambda x: mg.norm(x) ** 2,
    "hypot": lambda x: np.hypot(x, 2 * x) ** 2,
    "absolute": lambda x: np.abs(x) ** 2,
    "std": lambda x: np.std(x) ** 2,
    "sqrt": lambda x: np.exp(-(np.sqrt(np.sum(x**2)) ** 2)),
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_kink_inside_a_smooth_function_is_not_the_rules_mistake(name):
    report = mg.gradcheck(INSIDE[name], np.zeros(3), order=2, raise_exception=False)
    message = " ".join(report.message.split())
    assert report or f"a kink inside, not your rule: {name} has no derivative here" in message
    assert report.cause in {None, "kink"}
    assert report.op is None
    assert mg.gradcheck(INSIDE[name], normal(3), order=2)


def test_a_kink_inside_does_not_hide_a_constant_in_a_rule():
    op = wrong(np.exp, lambda g, out, x: g * np.exp(x.data if isinstance(x, mg.Tensor) else x))
    f = lambda x: op(x) + mg.norm(x) ** 2  # noqa: E731
    report = mg.gradcheck(f, np.zeros(3), order=2, raise_exception=False)
    assert report.cause == "constant in the rule"
    assert report.op is op


def test_a_rule_that_is_another_on_tensors_is_seen():
    op = wrong(np.exp, lambda g, out, x: 0 * g if isinstance(x, mg.Tensor) else g * out)
    assert mg.gradcheck(op, normal(3))
    report = mg.gradcheck(op, normal(3), order=2, raise_exception=False)
    assert report.cause == "constant in the rule"
    assert "differs from the ordinary one" in report.message


def test_a_rule_that_cannot_run_on_tensors_is_seen_in_the_second_order():
    op = wrong(np.exp, lambda g, out, x: g * np.asarray(out))
    report = mg.gradcheck(op, normal(3), order=2, raise_exception=False)
    assert report.cause == "error in the rule"
    assert "requires gradients" in report.message


def test_the_table_shows_the_worst_region_of_large_arrays():
    target = np.zeros((30, 40))
    target[20, 30] = 5.0
    op = wrong(lambda x: 2 * x, lambda g, out, x: 2 * g + target)
    report = mg.gradcheck(op, normal(30, 40), samples=1200, raise_exception=False)
    lines = report.message.splitlines()
    titles, *rows = lines[3:9]
    assert titles.split() == ["analytic", "│", "numeric", "│", "difference"]
    assert [row.endswith("◀") for row in rows] == [False, False, True, False, False]
    assert "5" in rows[2].split()
    assert lines[9].strip() == "(showing the region that starts at index (18, 28))"


def test_a_gradient_of_zero_at_a_smooth_minimum_is_no_kink():
    op = wrong(lambda x: x**2, lambda g, out, x: g * (2 * x + 1))
    report = mg.gradcheck(op, np.array([0.0, 1.0]), raise_exception=False)
    assert report.cause != "kink"


@pytest.mark.parametrize("seed", range(3))
def test_the_random_weights_are_not_the_students_own_numbers(seed):
    """A rule with x in place of g would pass, if g were drawn as x was."""
    x = np.random.default_rng(seed).normal(size=5)
    op = wrong(np.square, lambda g, out, x: 2 * x * x)
    assert not mg.gradcheck(op, x, seed=seed, raise_exception=False)


def test_right_rules_pass_at_1e_7_away_from_kinks():
    x = np.array([1e-5, 1e-3, 0.1, 1.0, 30.0])
    for f in (np.log, np.sqrt, np.exp, lambda x: 1 / x, lambda x: np.sin(50 * x), mg.softplus):
        assert mg.gradcheck(f, x, order=2 if f is np.exp else 1)
    assert mg.gradcheck(mg.relu, np.array([1e-5, -1e-5, 1.0]))
