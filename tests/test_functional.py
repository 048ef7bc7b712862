"""Softmax and the losses: the numbers of the lessons, PyTorch's formulas, and what is refused."""

import itertools
import re
import warnings

import numpy as np
import pytest
from scipy import special

import microgradx as mg


def close(actual, expected, digits=4):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=0.51 * 10.0**-digits)


# ---------------------------------------------------------------------------- softmax

LESSONS = [
    ([2, 1, 0.1], 1, [0.6590, 0.2424, 0.0986]),
    ([3, 2.9, 2.8], 1, [0.3672, 0.3322, 0.3006]),
    ([5, 2, 1], 1, [0.9362, 0.0466, 0.0171]),
    ([100, 99, 98], 1, [0.6652, 0.2447, 0.0900]),
    ([2, 1, 0], 0.5, [0.8668, 0.1173, 0.0159]),
    ([2, 1, 0], 1, [0.6652, 0.2447, 0.0900]),
    ([2, 1, 0], 2, [0.5065, 0.3072, 0.1863]),
    ([1, 3, 0.5], 1, [0.1112, 0.8214, 0.0674]),
]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("logits", "temperature", "expected"), LESSONS)
def test_softmax_of_the_lessons(logits, temperature, expected, fused):
    close(mg.softmax(logits, temperature=temperature, fused=fused), expected)
    logarithm = mg.log_softmax(logits, temperature=temperature, fused=fused)
    close(np.exp(logarithm), expected)


@pytest.mark.parametrize("fused", [True, False])
def test_softmax_at_extreme_temperatures(fused):
    cold = mg.softmax([2.0, 1.0, 2.0], temperature=1e-300, fused=fused)
    np.testing.assert_array_equal(cold, [0.5, 0, 0.5])
    hot = mg.softmax([2.0, 1.0, 2.0], temperature=1e300, fused=fused)
    np.testing.assert_allclose(hot, 1 / 3)
    huge = mg.softmax(np.float32([1e38, 1e38, -1e38]), temperature=0.1, fused=fused)
    np.testing.assert_array_equal(huge, np.float32([0.5, 0.5, 0]))


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
def test_fused_softmax_over_any_axes_is_scipys(axis, generator):
    x = generator.normal(size=(3, 4, 5)) * 10
    np.testing.assert_allclose(mg.Softmax(axis)(x), special.softmax(x, axis), rtol=1e-13)
    np.testing.assert_allclose(mg.LogSoftmax(axis)(x), special.log_softmax(x, axis), atol=1e-14)
    for keepdims in (False, True):
        actual = mg.logsumexp(x, axis, keepdims=keepdims)
        np.testing.assert_allclose(
            actual, special.logsumexp(x, axis, keepdims=keepdims), rtol=1e-13
        )


def test_the_graph_shows_the_composition_and_the_fused_op_is_one_node():
    x = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    names = [
        t.op.name for t in mg.engine.reverse_topological_order(mg.softmax(x, fused=False)) if t.op
    ]
    assert sorted(names) == ["divide", "exp", "max", "stop_gradient", "subtract", "sum"]
    assert [t.op.name for t in mg.engine.reverse_topological_order(mg.softmax(x)) if t.op] == [
        "softmax"
    ]
    assert mg.softmax(x, fused=False).scopes[0].name == "softmax"


@pytest.mark.parametrize("fused", [True, False])
def test_the_maximum_is_taken_per_row_and_is_a_constant(fused):
    rows = np.array([[1000.0, 999.0], [-1000.0, -1001.0]])
    close(mg.softmax(rows, fused=fused), [[0.7311, 0.2689]] * 2)
    # With ties, a gradient through max would be shared out; none may flow at all.
    x = mg.Tensor([1.0, 1.0, 0.0], requires_grad=True)
    p = mg.softmax(x, fused=fused)
    p.backward([1.0, 0.0, 0.0])
    jacobian_row = p.data[0] * (np.eye(3)[0] - p.data)
    np.testing.assert_allclose(x.grad, jacobian_row, rtol=1e-12)
    assert mg.gradcheck(lambda x: mg.softmax(x, fused=fused), np.array([1.0, 1.0, 0.0]), order=2)


@pytest.mark.parametrize("fused", [True, False])
def test_a_temperature_can_be_learnt(fused):
    def loss(x, t):
        return mg.cross_entropy(mg.log_softmax(x, temperature=t, fused=fused), [0, 1])

    assert mg.gradcheck(loss, [np.array([[3.0, 1.0], [0.0, 2.0]]), np.array(2.0)], order=2)


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, [1.0, 0.0]])
def test_temperatures_that_are_not_positive_are_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        mg.softmax([1.0, 2.0], temperature=temperature)


def test_a_temperature_that_is_0_in_the_dtype_is_refused():
    with pytest.raises(ValueError, match="positive in float32, not 1e-300"):
        mg.softmax(np.float32([1, 2]), temperature=1e-300)


# ---------------------------------------------------------------------------- cross-entropy


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("logits", "label", "loss"),
    [([2, 1, 0.1], 0, 0.4170), ([1, 3, 0.5], 1, 0.1967), ([1, 3, 0.5], 2, 2.6967)],
)
def test_losses_of_the_lessons(logits, label, loss, fused):
    close(mg.cross_entropy([logits], [label], fused=fused), loss)
    close(mg.cross_entropy(logits, label, fused=fused), loss)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_a_model_that_knows_nothing_loses_ln_c(classes):
    np.testing.assert_allclose(
        mg.cross_entropy(np.zeros((4, classes)), [0, 1, 1, 0]), np.log(classes)
    )


def test_ln_p_of_the_lessons():
    p = np.array([0.99, 0.9, 0.5, 0.1, 0.01, 0.001])
    logits = np.stack([np.log(p), np.log(1 - p)], axis=1)
    losses = mg.cross_entropy(logits, np.zeros(6, int), reduction="none")
    close(losses, [0.01005, 0.10536, 0.69315, 2.30259, 4.60517, 6.90776], digits=5)
    assert round(losses[4] / losses[0]) == 458
    labels = np.array([0] * 99 + [1])
    close(mg.cross_entropy(np.repeat(logits[:1], 100, axis=0), labels), 0.0560)


def test_label_smoothing_of_the_lesson():
    y, _ = mg.SoftmaxCrossEntropy(label_smoothing=0.15).target_distribution(
        np.zeros((1, 3)), np.array([0])
    )
    np.testing.assert_allclose(y, [[0.9, 0.05, 0.05]])


def reference(logits, target, weight, smoothing, ignore_index, reduction):
    """PyTorch's formulas, row by row: the loss, and its gradient at the logits."""
    n, classes = logits.shape
    w = np.ones(classes) if weight is None else weight
    log_p = special.log_softmax(logits, axis=1)
    losses, gradient, divisor = np.zeros(n), np.zeros_like(logits), 0.0
    for i in range(n):
        if target.ndim == 1:
            if target[i] == ignore_index:
                continue
            y = np.eye(classes)[target[i]]
            divisor += w[target[i]]
        else:
            y = target[i]
            divisor += 1
        y = w * (y * (1 - smoothing) + smoothing / classes)
        losses[i] = -np.sum(y * log_p[i])
        gradient[i] = np.sum(y) * np.exp(log_p[i]) - y
    if reduction == "none":
        return losses, gradient
    scale = 1 / divisor if reduction == "mean" else 1
    return np.sum(losses) * scale, gradient * scale


COMBINATIONS = [
    combination
    for combination in itertools.product(
        [True, False],
        ["labels", "probabilities"],
        [False, True],
        [0.0, 0.2, 1.0],
        [None, 2, -100],
        ["mean", "sum", "none"],
    )
    if not (combination[1] == "probabilities" and combination[4] is not None)
]


def combined(kind, weighted, ignore_index, generator):
    """Logits, targets and class weights for a combination of options."""
    z = generator.normal(size=(6, 4)) * 3
    weight = generator.uniform(0.2, 2, size=4) if weighted else None
    if kind == "probabilities":
        return z, generator.dirichlet(np.ones(4), size=6), weight
    target = np.array([0, 1, 2, 3, 2, 1])
    if ignore_index == -100:
        target[[1, 4]] = -100
    return z, target, weight


@pytest.mark.parametrize(
    ("fused", "kind", "weighted", "smoothing", "ignore_index", "reduction"), COMBINATIONS
)
def test_every_combination_of_options_is_pytorchs_formula(
    fused, kind, weighted, smoothing, ignore_index, reduction, generator
):
    z, target, weight = combined(kind, weighted, ignore_index, generator)
    logits = mg.Tensor(z, requires_grad=True)
    loss = mg.cross_entropy(
        logits,
        target,
        weight=weight,
        label_smoothing=smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        fused=fused,
    )
    expected, gradient = reference(z, target, weight, smoothing, ignore_index, reduction)
    np.testing.assert_allclose(loss.data, expected, rtol=1e-12)
    loss.sum().backward()
    np.testing.assert_allclose(logits.grad, gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parity
def test_the_formulas_are_pytorchs(generator):
    torch = pytest.importorskip("torch")
    for _, kind, weighted, smoothing, ignore_index, reduction in COMBINATIONS:
        z, target, weight = combined(kind, weighted, ignore_index, generator)
        logits = torch.tensor(z, requires_grad=True)
        loss = torch.nn.functional.cross_entropy(
            logits,
            torch.tensor(target),
            weight=None if weight is None else torch.tensor(weight),
            label_smoothing=smoothing,
            reduction=reduction,
            **({} if ignore_index is None else {"ignore_index": ignore_index}),
        )
        loss.sum().backward()
        expected, gradient = reference(z, target, weight, smoothing, ignore_index, reduction)
        np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(logits.grad.numpy(), gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("fused", [True, False])
def test_soft_targets_receive_gradients_where_asked(fused, generator):
    def loss(z, y):
        return mg.cross_entropy(
            z, y, weight=np.array([1.0, 2.0, 0.5]), label_smoothing=0.1, fused=fused
        )

    z, y = generator.normal(size=(4, 3)), generator.dirichlet(np.ones(3), size=4)
    assert mg.gradcheck(loss, [z, y], order=2)
    logits, target = mg.Tensor(z, requires_grad=True), mg.Tensor(y)
    loss(logits, target).backward()
    assert target.grad is None


def test_the_class_axis_may_be_any(generator):
    z, labels = generator.normal(size=(2, 5, 3)), generator.integers(5, size=(2, 3))
    expected = mg.cross_entropy(np.moveaxis(z, 1, -1), labels, reduction="none")
    for fused in (True, False):
        losses = mg.cross_entropy(z, labels, axis=1, reduction="none", fused=fused)
        np.testing.assert_allclose(losses, expected)
        assert losses.shape == labels.shape


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 5, 1]}, {"label_smoothing": 0.2}])
def test_one_hot_rows_of_integers_are_probabilities(fused, reduction, options):
    z, one_hot = np.array([[17.0, 0, 0], [1, 2, 3]]), np.eye(3, dtype=int)[[0, 1]]
    expected = mg.cross_entropy(z, one_hot.astype(float), reduction=reduction, **options)
    for target in (one_hot, one_hot.astype(bool), mg.Tensor(one_hot)):
        loss = mg.cross_entropy(z, target, reduction=reduction, fused=fused, **options)
        np.testing.assert_allclose(mg.as_tensor(loss).data, expected, rtol=1e-8)


@pytest.mark.parametrize("fused", [True, False])
def test_all_rows_ignored(fused):
    for reduction, expected in [("mean", np.nan), ("sum", 0), ("none", [0, 0])]:
        z = mg.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        loss = mg.cross_entropy(z, [-1, -1], ignore_index=-1, reduction=reduction, fused=fused)
        np.testing.assert_array_equal(loss.data, expected)
        loss.backward(np.ones(loss.shape))
        np.testing.assert_array_equal(z.grad, np.zeros((2, 2)))
        z.zero_grad()
        loss.backward(np.ones(loss.shape), create_graph=True)
        np.testing.assert_array_equal(z.grad.data, np.zeros((2, 2)))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_an_empty_batch_is_as_in_pytorch(reduction):
    loss = mg.cross_entropy(np.zeros((0, 3)), np.zeros(0, int), reduction=reduction)
    np.testing.assert_array_equal(loss, np.nan if reduction == "mean" else 0)


INF, NAN = np.inf, np.nan
# Logits, softmax, logsumexp. Rows with +inf or NaN, or with -inf alone, have no softmax.
INFINITE = [
    ([-INF, 0.0, 0.0], [0, 0.5, 0.5], np.log(2)),
    ([1.0, -INF, -INF], [1, 0, 0], 1.0),
    ([-INF, -INF, -INF], [NAN, NAN, NAN], -INF),
    ([INF, 1.0, 2.0], [NAN, NAN, NAN], INF),
    ([INF, INF, 2.0], [NAN, NAN, NAN], INF),
    ([INF, -INF, 2.0], [NAN, NAN, NAN], INF),
    ([NAN, 1.0, 2.0], [NAN, NAN, NAN], NAN),
]


@pytest.mark.parametrize("fused", [True, False])
def test_a_soft_target_may_give_0_to_a_masked_class(fused):
    y = np.array([[0.3, 0.0, 0.7]])
    z = mg.Tensor([[1.0, -np.inf, 2.0]], requires_grad=True)
    masked = mg.cross_entropy(z, y, fused=fused)
    masked.backward()
    left = mg.Tensor([[1.0, 2.0]], requires_grad=True)
    without = mg.cross_entropy(left, y[:, [0, 2]])
    without.backward()
    np.testing.assert_allclose(masked.data, without.data, rtol=1e-14)
    np.testing.assert_allclose(z.grad, np.insert(left.grad, 1, 0, axis=1), rtol=1e-12)


@pytest.mark.parametrize(("row", "p", "log_sum"), INFINITE)
def test_infinite_and_nan_logits(row, p, log_sum):
    np.testing.assert_allclose(mg.softmax(row), p)
    np.testing.assert_allclose(mg.logsumexp(row), log_sum)
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    np.testing.assert_allclose(mg.log_softmax(row), log_p, atol=1e-15)
    for label in range(3):
        logits = mg.Tensor([row], requires_grad=True)
        loss = mg.cross_entropy(logits, [label])
        loss.backward()
        np.testing.assert_allclose(loss.data, -log_p[label], atol=1e-15)
        np.testing.assert_allclose(logits.grad, [p - np.eye(3)[label]], atol=1e-15)


@pytest.mark.parity
@pytest.mark.parametrize("row", [row for row, _, _ in INFINITE])
def test_infinite_and_nan_logits_are_as_in_pytorch(row):
    torch = pytest.importorskip("torch")
    for label in range(3):
        ours, theirs = mg.Tensor([row], requires_grad=True), torch.tensor([row], requires_grad=True)
        loss = mg.cross_entropy(ours, [label])
        loss.backward()
        their_loss = torch.nn.functional.cross_entropy(theirs, torch.tensor([label]))
        their_loss.backward()
        np.testing.assert_allclose(loss.data, their_loss.detach().numpy(), rtol=1e-6)
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-6)
    for ours, theirs in [
        (mg.softmax, torch.softmax),
        (mg.log_softmax, torch.log_softmax),
        (mg.logsumexp, torch.logsumexp),
    ]:
        expected = theirs(torch.tensor(row), 0).numpy()
        np.testing.assert_allclose(ours(np.array(row)), expected, rtol=1e-6)


def test_a_masked_logit_has_probability_and_gradient_zero_unless_it_is_the_label():
    z = mg.Tensor([[0.0, -np.inf, 0.0], [0.0, -np.inf, 0.0]], requires_grad=True)
    losses = mg.cross_entropy(z, [0, 1], reduction="none")
    losses.backward([1.0, 1.0])
    np.testing.assert_array_equal(losses.data, [np.log(2), np.inf])
    np.testing.assert_array_equal(z.grad, [[-0.5, 0, 0.5], [0.5, -1, 0.5]])
    assert np.all(np.isnan(mg.softmax([-np.inf, -np.inf])))


def test_fused_and_composed_gradients_are_p_minus_y(generator):
    z, labels = generator.normal(size=(5, 4)), generator.integers(4, size=5)
    p, y = mg.softmax(z), np.eye(4)[labels]
    for fused in (True, False):
        logits = mg.Tensor(z, requires_grad=True)
        mg.cross_entropy(logits, labels, fused=fused).backward()
        np.testing.assert_allclose(logits.grad, (p - y) / 5, rtol=1e-12)


def test_the_saved_gradient_and_the_generic_p_minus_y_are_the_same(generator):
    z, labels = generator.normal(size=(5, 4)), generator.integers(4, size=5)
    logits = mg.Tensor(z, requires_grad=True)
    loss = mg.cross_entropy(logits, labels, weight=[1, 2, 3, 4], ignore_index=2)
    assert loss.op.saved is not None
    loss.backward()
    saved = logits.grad
    logits.grad = None
    loss.backward(create_graph=True)
    np.testing.assert_allclose(logits.grad.data, saved, rtol=1e-12)
    logits.grad = None
    with mg.no_grad():
        assert mg.cross_entropy(logits, labels).op is None


def test_backward_twice_adds_the_same_again():
    logits = mg.Tensor([[1.0, 2.0]], requires_grad=True)
    loss = mg.cross_entropy(logits, [0])
    loss.backward()
    once = logits.grad.copy()
    logits.grad *= 7  # a user's own: what the op saved must not change with it
    loss.backward()
    np.testing.assert_allclose(logits.grad, 8 * once)


REFUSED = [
    ({"target": [0, 3]}, IndexError, "label 3 in row 1 is not one of the 3 classes, 0 to 2"),
    ({"target": [-1, 0]}, IndexError, "label -1 in row 0 .*pass ignore_index"),
    ({"target": [-2, 0], "ignore_index": -1}, IndexError, "label -2 in row 0"),
    ({"target": [0.0, 1.0]}, TypeError, "labels must be integers, not float64"),
    ({"target": [0, 1, 2]}, ValueError, r"shape \(3,\) does not fit logits of shape \(2, 3\)"),
    ({"target": [[0], [1]]}, ValueError, r"labels need shape \(2,\), probabilities \(2, 3\)"),
    ({"target": [[1, 1, 0], [0, 0, 1]]}, ValueError, "does not hold probabilities"),
    ({"target": [[2, 0, 0], [0, 0, 1]]}, ValueError, "does not hold probabilities"),
    ({"target": np.full((2, 3), 1 / 3), "ignore_index": 0}, ValueError, "for integer labels"),
    ({"label_smoothing": -0.1}, ValueError, "label_smoothing must be from 0 to 1, not -0.1"),
    ({"label_smoothing": 1.1}, ValueError, "label_smoothing must be from 0 to 1"),
    ({"label_smoothing": np.nan}, ValueError, "label_smoothing must be from 0 to 1"),
    ({"reduction": "avg"}, ValueError, "reduction must be .*, not 'avg'"),
    ({"weight": [1.0, 2.0]}, ValueError, r"weight has shape \(2,\).* each class: \(3,\)"),
    (
        {"weight": mg.Tensor(np.ones(3), requires_grad=True)},
        ValueError,
        "weights of a loss must be constants",
    ),
    ({"axis": 2}, ValueError, "axis 2 is out of bounds"),
    ({"ignore_index": "x"}, TypeError, "ignore_index must be an integer label, not 'x'"),
    ({"logits": 1.0, "target": 0}, ValueError, "logits need an axis of classes"),
]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_what_does_not_fit_is_refused(arguments, error, message, fused):
    arguments = {"logits": np.zeros((2, 3)), "target": [0, 1], "fused": fused, **arguments}
    with pytest.raises(error, match=message):
        mg.cross_entropy(arguments.pop("logits"), arguments.pop("target"), **arguments)


def test_other_losses_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="nll_loss takes integer labels"):
        mg.nll_loss(np.zeros((1, 2)), np.ones((1, 2)) / 2)
    message = re.escape("logits of shape (2,) and target of shape (2, 1)")
    with pytest.raises(ValueError, match=message):
        mg.binary_cross_entropy_with_logits(np.zeros(2), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="reduction"):
        mg.binary_cross_entropy_with_logits(np.zeros(2), np.zeros(2), reduction="")


@pytest.mark.parametrize("make", [mg.softmax, lambda x: mg.softmax(x, fused=False), mg.Softmax()])
def test_giving_probabilities_for_logits_warns_once_at_the_callers_line(make):
    x = mg.Tensor([[1.0, 2.0]], requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            mg.cross_entropy(make(x), [0])
    assert len(caught) == 1
    assert "was given the output of a softmax" in str(caught[0].message)
    assert "pass the logits" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_the_loss_of_probabilities_given_for_logits_cannot_fall_far():
    # -ln(e / (e + C - 1)) for C = 3, the lower bound that the warning mentions.
    assert round(float(mg.cross_entropy([[1.0, 0.0, 0.0]], [0])), 4) == 0.5514


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_is_pytorchs(reduction, generator):
    z, y = generator.normal(size=(3, 4)) * 20, generator.uniform(size=(3, 4))
    pos_weight, weight = generator.uniform(0.5, 2, size=4), generator.uniform(size=(3, 1))
    p = special.expit(z)
    expected = -weight * (pos_weight * y * special.log_expit(z) + (1 - y) * special.log_expit(-z))
    slope = weight * (pos_weight * y * (p - 1) + (1 - y) * p)
    if reduction != "none":
        scale = 1 / z.size if reduction == "mean" else 1
        expected, slope = np.sum(expected) * scale, slope * scale
    logits = mg.Tensor(z, requires_grad=True)
    loss = mg.binary_cross_entropy_with_logits(
        logits, y, weight=weight, pos_weight=pos_weight, reduction=reduction
    )
    np.testing.assert_allclose(loss.data, expected, rtol=1e-10)
    loss.sum().backward()
    np.testing.assert_allclose(logits.grad, slope, rtol=1e-9, atol=1e-12)


def test_binary_cross_entropy_is_accurate_for_confident_predictions():
    z = np.array([100.0, -100.0])
    losses = mg.binary_cross_entropy_with_logits(z, np.array([1.0, 0.0]), reduction="none")
    np.testing.assert_allclose(losses, np.exp(-100.0), rtol=1e-14)


def test_integer_logits_are_taken_as_floats():
    assert mg.cross_entropy([[2, 1, 0]], [0]) == mg.cross_entropy([[2.0, 1.0, 0.0]], [0])
    assert mg.cross_entropy(np.zeros((1, 2), np.float16), [0]).dtype == np.float16


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_row_is_ignored_even_if_it_is_nan(label_smoothing):
    z = mg.Tensor([[1.0, 2.0], [np.nan, np.inf]], requires_grad=True)
    alone = mg.Tensor([[1.0, 2.0]], requires_grad=True)
    loss = mg.cross_entropy(z, [0, -1], ignore_index=-1, label_smoothing=label_smoothing)
    expected = mg.cross_entropy(alone, [0], label_smoothing=label_smoothing)
    assert loss.item() == expected.item()
    loss.backward()
    expected.backward()
    np.testing.assert_array_equal(z.grad, [alone.grad[0], [0, 0]])


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("target", [np.ones((2, 3)), [[2.0, -1.0, 0.0]] * 2, 255.0 * np.eye(2, 3)])
def test_targets_that_are_not_probabilities_are_refused(target, fused):
    with pytest.raises(ValueError, match=r"row 0 of the target.* does not hold probabilities"):
        mg.cross_entropy(np.zeros((2, 3)), target, fused=fused)


def test_rows_of_zeros_are_ignored():
    target = [[0.0, 1.0], [0.0, 0.0]]
    losses = mg.cross_entropy(np.zeros((2, 2)), target, reduction="none")
    np.testing.assert_array_equal(losses, [np.log(2), 0])


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="weights must be 0 or more"):
        mg.cross_entropy(np.zeros((1, 2)), [0], weight=[1.0, -1.0])


def test_a_temperature_too_large_for_the_dtype_gives_the_uniform_limit():
    np.testing.assert_array_equal(mg.softmax(np.float32([1, 2]), temperature=1e300), [0.5, 0.5])


@pytest.mark.parametrize("f", [mg.softmax, mg.log_softmax])
@pytest.mark.parametrize("temperature", [2, np.float64(2), np.array([2.0]), mg.Tensor(2.0)])
def test_a_temperature_promotes_no_logits(f, temperature):
    if not isinstance(temperature, mg.Tensor):
        assert f(np.float32([1, 2]), temperature=temperature).dtype == np.float32


@pytest.mark.parametrize("fused", [True, False])
def test_nothing_promotes_a_float32_loss(fused):
    z = mg.Tensor([[1.0, 2.0]], dtype=np.float32, requires_grad=True)
    smoothed = mg.cross_entropy(z, [0], label_smoothing=np.float64(0.1), fused=fused)
    soft = mg.cross_entropy(z, np.array([[0.5, 0.5]]), weight=np.ones(2), fused=fused)
    binary = mg.binary_cross_entropy_with_logits(z, np.array([[0, 1]]), pos_weight=np.ones(2))
    for loss in (smoothed, soft, binary):
        assert loss.dtype == np.float32


def test_a_mean_over_many_rows_is_right_in_float16():
    z = mg.Tensor(np.zeros((70_000, 2)), dtype=np.float16, requires_grad=True)
    labels = np.zeros(70_000, int)
    loss = mg.cross_entropy(z, labels)
    loss.backward()
    saved = z.grad
    z.zero_grad()
    loss.backward(create_graph=True)
    assert abs(loss.item() - np.log(2)) < 1e-3
    for gradient in (saved, z.grad.data):
        np.testing.assert_allclose(gradient[0], [-0.5 / 70_000, 0.5 / 70_000], atol=1e-7)


def test_an_ignored_row_of_nan_has_no_gradient_of_either_kind():
    z = mg.Tensor([[1.0, 2.0], [np.nan, np.inf]], requires_grad=True)
    mg.cross_entropy(z, [0, -1], ignore_index=-1).backward(create_graph=True)
    np.testing.assert_array_equal(z.grad.data[1], [0, 0])
    assert np.all(z.grad.data[0] != 0)
    composed = mg.cross_entropy(z, [0, -1], ignore_index=-1, label_smoothing=0.1, fused=False)
    assert np.isfinite(composed.item())


def test_logits_without_classes_are_refused_and_an_empty_sum_is_0():
    with pytest.raises(ValueError, match="have no classes along axis 1"):
        mg.cross_entropy(np.zeros((2, 0)), np.zeros((2, 0)))
    np.testing.assert_array_equal(mg.logsumexp(np.zeros((2, 0)), axis=1), [-np.inf, -np.inf])


def test_answers_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match="from 0 to 1"):
        mg.binary_cross_entropy_with_logits(np.zeros(2), np.array([0.0, 2.0]))
