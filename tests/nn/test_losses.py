"""Losses as functions and as modules: values, weights, shapes. Their derivatives: the op table."""

import warnings

import numpy as np
import pytest
from scipy import special

import microgradx as mg
from microgradx import nn
from microgradx.nn import functional as F
from tests.helpers import leaf

X = np.random.default_rng(0).normal(size=(3, 2))
Y = np.random.default_rng(1).normal(size=(3, 2))
ERROR = X - Y

REGRESSIONS = {
    "mse_loss": (ERROR**2, {}, nn.MSELoss),
    "l1_loss": (np.abs(ERROR), {}, nn.L1Loss),
    "huber_loss": (
        np.where(np.abs(ERROR) < 0.7, ERROR**2 / 2, 0.7 * (np.abs(ERROR) - 0.35)),
        {"delta": 0.7},
        nn.HuberLoss,
    ),
    "smooth_l1_loss": (
        np.where(np.abs(ERROR) < 0.7, ERROR**2 / 1.4, np.abs(ERROR) - 0.35),
        {"beta": 0.7},
        nn.SmoothL1Loss,
    ),
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_losses_of_regressions(name):
    losses, settings, module = REGRESSIONS[name]
    function = getattr(mg, name)
    assert function is getattr(F, name)
    reduced = {"none": losses, "mean": losses.mean(), "sum": losses.sum()}
    for reduction, expected in reduced.items():
        for loss in (
            function(X, Y, **settings, reduction=reduction),
            module(**settings, reduction=reduction)(X, Y),
        ):
            np.testing.assert_allclose(loss, expected, rtol=1e-14)
    np.testing.assert_array_equal(module(**settings)(X, Y), function(X, Y, **settings))
    assert "reduction='mean'" in repr(module())


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_weighted_mean_is_divided_by_the_weights(name):
    losses, settings, _ = REGRESSIONS[name]
    w = np.array([1.0, 3.0])
    loss = getattr(mg, name)(X, Y, **settings, weight=w)
    np.testing.assert_allclose(loss, (losses * w).sum() / (3 * w.sum()), rtol=1e-14)
    with pytest.raises(ValueError, match="weights must be 0 or more"):
        getattr(mg, name)(X, Y, weight=-w)
    with pytest.raises(ValueError, match='reduction must be "mean", "sum" or "none"'):
        getattr(mg, name)(X, Y, reduction="average")


@pytest.mark.parametrize("name", REGRESSIONS)
def test_shapes_that_would_broadcast_are_refused(name):
    with pytest.raises(ValueError, match=r"shape \(3, 1\) and target of shape \(3,\).*\[:, None\]"):
        getattr(mg, name)(X[:, :1], Y[:, 0])


@pytest.mark.parametrize("name", REGRESSIONS)
def test_targets_do_not_promote_and_integers_are_targets_too(name):
    x = leaf([1.0, 2.0], dtype=np.float32)
    for target in (np.array([1.5, 4.0]), [1, 4], np.array([1, 4])):
        loss = getattr(mg, name)(x, target)
        loss.backward()
        assert loss.dtype == x.grad.dtype == np.float32


def test_second_derivatives_where_the_error_is_0():
    """Of a square, 2 (or 1); of the kink of |x - y|, 0 by convention."""
    for loss, expected in ((mg.mse_loss, 2), (mg.huber_loss, 1), (mg.smooth_l1_loss, 1)):
        curvature = mg.hessian(lambda x, loss=loss: loss(x, np.ones(2), reduction="sum"))
        np.testing.assert_array_equal(curvature(np.ones(2)), expected * np.eye(2))
    curvature = mg.hessian(lambda x: mg.l1_loss(x, np.ones(2), reduction="sum"))
    np.testing.assert_array_equal(curvature(np.ones(2)), np.zeros((2, 2)))


def test_settings_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="delta must be positive, not 0"):
        mg.huber_loss(X, Y, delta=0)
    np.testing.assert_array_equal(mg.smooth_l1_loss(X, Y, beta=0), mg.l1_loss(X, Y))


def test_modules_of_classifiers_hand_on_every_setting():
    log_p, labels = mg.log_softmax(X), np.array([0, 1, 1])
    settings = {"weight": [1.0, 2.0], "ignore_index": 0, "reduction": "sum"}
    loss = nn.NLLLoss(**settings)(log_p, labels)
    np.testing.assert_array_equal(loss, mg.nll_loss(log_p, labels, **settings))
    loss = nn.NLLLoss(axis=0)(log_p, labels[:2])
    np.testing.assert_array_equal(loss, mg.nll_loss(log_p, labels[:2], axis=0))
    settings = {"weight": [1.0, 2.0], "pos_weight": 3.0, "reduction": "none"}
    loss = nn.BCEWithLogitsLoss(**settings)(X, Y > 0)
    np.testing.assert_array_equal(loss, mg.binary_cross_entropy_with_logits(X, Y > 0, **settings))


# ---------------------------------------------------------------------------- probabilities

LOGITS = np.random.default_rng(2).normal(size=(5, 3)) * 3
LABELS = np.array([0, 2, 1, 1, 0])


def of_log_softmax(x, y):
    """The logarithm of the probability of each label, by SciPy."""
    return special.log_softmax(x, -1)[np.arange(len(y)), y]


@pytest.mark.parametrize("gamma", [0.5, 1, 2.0, 5.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_focal_loss_is_its_formula(gamma, reduction):
    log_p = of_log_softmax(LOGITS, LABELS)
    losses = -((1 - np.exp(log_p)) ** gamma) * log_p
    reduce = {"mean": np.mean, "sum": np.sum, "none": np.array}[reduction]
    loss = nn.FocalLoss(gamma=gamma, reduction=reduction)(LOGITS, LABELS)
    np.testing.assert_allclose(loss, reduce(losses), rtol=1e-12)
    scaled = mg.focal_loss(LOGITS, LABELS, gamma=gamma, alpha=0.25, reduction=reduction)
    np.testing.assert_allclose(scaled, 0.25 * loss, rtol=1e-15)
    alpha = np.array([0.2, 1.0, 3.0])
    weights = alpha[LABELS]
    weighted = mg.focal_loss(LOGITS, LABELS, gamma=gamma, alpha=alpha, reduction=reduction)
    total = weights.sum() / len(LABELS) if reduction == "mean" else 1
    np.testing.assert_allclose(weighted, reduce(losses * weights) / total, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_gamma_of_0_is_cross_entropy_to_the_bit(dtype, reduction):
    for settings in ({}, {"alpha": [0.2, 1.0, 3.0]}, {"ignore_index": 1}):
        x, z = leaf(LOGITS, dtype=dtype), leaf(LOGITS, dtype=dtype)
        loss = mg.focal_loss(x, LABELS, gamma=0, reduction=reduction, **settings)
        weight = settings.pop("alpha", None)
        expected = mg.cross_entropy(z, LABELS, weight, reduction=reduction, **settings)
        np.testing.assert_array_equal(loss.data, expected.data)
        loss.sum().backward()
        expected.sum().backward()
        np.testing.assert_array_equal(x.grad, z.grad)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_at_extreme_logits(gamma, dtype):
    """Of rows that are surely right the loss is 0; of those surely wrong that of cross-entropy."""
    rows = [[6e4, -6e4, 0], [-6e4, 6e4, 0], [0, -np.inf, -np.inf], [-np.inf, 0, 0], [0, 0, -6e4]]
    x, z = leaf(rows, dtype=dtype), leaf(rows, dtype=dtype)
    with np.errstate(over="ignore"):
        losses = mg.focal_loss(x, [0] * 5, gamma=gamma, reduction="none")
        plain = mg.cross_entropy(z, [0] * 5, reduction="none")
        losses.backward(np.ones(5, dtype))
        plain.backward(np.ones(5, dtype))
    factor = np.array([0, 1, 0, 1, 0.5**gamma])
    expected = np.where(factor == 0, 0, plain.data * np.where(factor == 0, 1, factor))
    np.testing.assert_allclose(losses.data, expected, rtol=2e-3)
    assert np.isfinite(x.grad).all()
    np.testing.assert_allclose(x.grad[[1, 3]], z.grad[[1, 3]])
    assert not x.grad[[0, 2]].any()


def test_focal_loss_counts_a_confident_row_with_all_digits():
    """(1 - p)² = 1.9e-35 in this row; as 1 - p with p = 1 it would be 0."""
    loss = mg.focal_loss([[40.0, 0.0]], [0], gamma=2.0, reduction="sum")
    np.testing.assert_allclose(loss, np.exp(-40.0) ** 3, rtol=1e-14)


def test_focal_loss_of_signals_and_what_it_refuses():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    labels = np.array([[0, 1, 2, 2], [1, 1, 0, 2]])
    loss = mg.focal_loss(x, labels, axis=1)
    rows = mg.focal_loss(x.transpose(0, 2, 1).reshape(-1, 3), labels.ravel())
    np.testing.assert_allclose(loss, rows, rtol=1e-14)
    for gamma in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="gamma must be a finite number, 0 or more"):
            mg.focal_loss(LOGITS, LABELS, gamma=gamma)
    with pytest.raises(ValueError, match="focal_loss takes integer labels"):
        mg.focal_loss(LOGITS, np.ones((5, 3)) / 3)
    with pytest.raises(ValueError, match="weights must be 0 or more"):
        mg.focal_loss(LOGITS, LABELS, alpha=-1)


@pytest.mark.parametrize("log_target", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "batchmean", "sum", "none"])
def test_kl_div_is_scipys(reduction, log_target):
    x, y = special.log_softmax(LOGITS, -1), special.softmax(LOGITS[::-1], -1)
    losses = special.rel_entr(y, np.exp(x))
    reduced = {
        "mean": losses.mean(),
        "batchmean": losses.sum() / 5,
        "sum": losses.sum(),
        "none": losses,
    }
    target = np.log(y) if log_target else y
    loss = nn.KLDivLoss(reduction=reduction, log_target=log_target)(x, target)
    np.testing.assert_allclose(loss, reduced[reduction], rtol=1e-12, atol=1e-15)


def test_kl_div_where_probabilities_are_0():
    """0 ln 0 is 0; what the model holds impossible, and is not, costs infinitely much."""
    for target, log_target in ((np.array([0.0, 1.0]), False), (np.array([-np.inf, 0.0]), True)):
        x, y = leaf([-np.inf, 0.0]), leaf(target)
        loss = mg.kl_div(x, y, reduction="sum", log_target=log_target)
        loss.backward()
        assert loss.item() == 0
        np.testing.assert_array_equal(x.grad, [0, -1])
        assert np.isfinite(y.grad).all()
        assert mg.kl_div([0.0, -np.inf], target, reduction="sum", log_target=log_target) == np.inf


def test_what_kl_div_refuses():
    with pytest.raises(ValueError, match=r"input of shape \(2,\) and target of shape \(1, 2\)"):
        mg.kl_div([-1.0, -1.0], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="logarithms, pass log_target=True"):
        mg.kl_div([-1.0, -1.0], [-1.0, -1.0])
    with pytest.raises(ValueError, match='"mean", "batchmean", "sum" or "none", not \'average\''):
        mg.kl_div([-1.0], [1.0], reduction="average")
    with pytest.raises(ValueError, match=r"batchmean.*a number has none"):
        mg.kl_div(-1.0, 1.0, reduction="batchmean")


def test_binary_cross_entropy_of_probabilities_is_that_of_their_logits():
    y = np.array([0.0, 1.0, 0.3, 1.0, 0.0])
    z = LOGITS[:, 0]
    for settings in ({}, {"weight": [1.0, 2.0, 3.0, 0.0, 1.0]}, {"reduction": "none"}):
        p, logits = leaf(special.expit(z)), leaf(z)
        loss = nn.BCELoss(**settings)(p, y)
        expected = nn.BCEWithLogitsLoss(**settings)(logits, y)
        np.testing.assert_allclose(loss.data, expected.data, rtol=1e-12)
        loss.sum().backward()
        expected.sum().backward()
        slope = special.expit(z) * special.expit(-z)
        np.testing.assert_allclose(p.grad * slope, logits.grad, rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_binary_cross_entropy_of_certainty_is_finite(dtype):
    p = leaf([0.0, 0.0, 1.0, 1.0], dtype=dtype)
    losses = mg.binary_cross_entropy(p, [0, 1, 0, 1], reduction="none")
    np.testing.assert_array_equal(losses.data, [0, 100, 100, 0])
    losses.sum().backward()
    assert np.isfinite(p.grad).all()
    np.testing.assert_array_equal(np.sign(p.grad), [1, -1, 1, -1])
    assert np.abs(p.grad[1:3]).min() > 1e4
    with pytest.raises(ValueError, match=r"numbers from -2 to 0\.5; of logits take binary_cross"):
        mg.binary_cross_entropy([-2.0, 0.5], [0, 1])


# ---------------------------------------------------------------------------- what is given

HIDDEN = leaf(LOGITS)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda: mg.cross_entropy(mg.softmax(HIDDEN), LABELS), "output of a softmax"),
        (lambda: mg.cross_entropy(mg.softmax(HIDDEN)[:3], LABELS[:3]), "output of a softmax"),
        (lambda: mg.cross_entropy(mg.sigmoid(HIDDEN), LABELS), "output of a sigmoid"),
        (lambda: mg.focal_loss(mg.softmax(HIDDEN).T, LABELS, axis=0), "output of a softmax"),
        (lambda: mg.nll_loss(mg.softmax(HIDDEN), LABELS), "output of a softmax"),
        (lambda: mg.nll_loss(special.softmax(LOGITS, -1), LABELS), r"numbers up to 0\.9"),
        (lambda: mg.nll_loss(HIDDEN, LABELS), "numbers up to"),
        (lambda: mg.kl_div(mg.softmax(HIDDEN), np.full((5, 3), 1 / 3)), "output of a softmax"),
        (lambda: mg.kl_div(LOGITS, np.full((5, 3), 1 / 3)), "pass log_softmax"),
        (
            lambda: mg.binary_cross_entropy_with_logits(mg.sigmoid(HIDDEN)[:, 0], LABELS > 0),
            "output of a sigmoid, but applies sigmoid itself",
        ),
        (
            lambda: mg.binary_cross_entropy_with_logits(
                mg.sigmoid(HIDDEN).reshape(-1), np.zeros(15)
            ),
            "output of a sigmoid",
        ),
        (
            lambda: nn.BCEWithLogitsLoss()(nn.Softmax()(HIDDEN), np.zeros((5, 3))),
            "output of a softmax",
        ),
        (
            lambda: nn.BCEWithLogitsLoss()(mg.logsigmoid(HIDDEN), np.zeros((5, 3))),
            "output of a logsigmoid",
        ),
    ],
)
def test_a_loss_that_is_given_what_another_takes_warns_at_the_callers_line(loss, message):
    with pytest.warns(UserWarning, match=message) as caught:
        loss()
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_what_a_loss_takes_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mg.nll_loss(mg.log_softmax(HIDDEN), LABELS)
        mg.nll_loss(np.log(mg.softmax(HIDDEN)), LABELS)
        mg.cross_entropy(mg.tanh(HIDDEN), LABELS)
        mg.cross_entropy(mg.softmax(HIDDEN) @ np.eye(3), LABELS)  # attention, and a layer
        mg.binary_cross_entropy(mg.sigmoid(HIDDEN), np.zeros((5, 3)))
        mg.binary_cross_entropy_with_logits(HIDDEN[:, 0], np.zeros(5))
        graph = mg.softmax(HIDDEN).reshape(-1)
        graph.sum().backward(retain_graph=False)
        mg.cross_entropy(graph, 0)  # whose graph is gone


def test_labels_of_pytorchs_axis_get_a_hint():
    with pytest.raises(ValueError, match=r"along axis 2; .* as PyTorch has them, pass axis=1"):
        nn.CrossEntropyLoss()(np.zeros((2, 3, 4)), np.zeros((2, 4), int))


@pytest.mark.parity
@pytest.mark.parametrize("name", REGRESSIONS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_equal_pytorchs(name, reduction):
    torch = pytest.importorskip("torch")
    _, settings, module = REGRESSIONS[name]
    ours, theirs = leaf(X), torch.tensor(X, requires_grad=True)
    loss = module(**settings, reduction=reduction)(ours, Y)
    expected = getattr(torch.nn, module.__name__)(**settings, reduction=reduction)(
        theirs, torch.tensor(Y)
    )
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=1e-13)
    loss.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-13)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
def test_losses_of_probabilities_equal_pytorchs(reduction):
    torch = pytest.importorskip("torch")
    log_p, y = special.log_softmax(LOGITS, -1), special.softmax(LOGITS[::-1], -1)
    cases = [
        ("KLDivLoss", {}, log_p, y),
        ("KLDivLoss", {"log_target": True}, log_p, np.log(y)),
    ]
    if reduction != "batchmean":
        cases += [
            ("BCELoss", {}, special.softmax(LOGITS, -1), y),
            ("BCELoss", {"weight": np.array([1.0, 2.0, 0.0])}, special.softmax(LOGITS, -1), y),
            ("BCEWithLogitsLoss", {"pos_weight": np.array([1.0, 2.0, 0.5])}, LOGITS, y),
            ("NLLLoss", {"weight": np.array([1.0, 2.0, 0.5]), "ignore_index": 2}, log_p, LABELS),
            ("CrossEntropyLoss", {"label_smoothing": 0.2}, LOGITS, y),
            ("CrossEntropyLoss", {"weight": np.array([1.0, 2.0, 0.5])}, LOGITS, LABELS),
        ]
    for name, settings, x, target in cases:
        ours, theirs = leaf(x), torch.tensor(x, requires_grad=True)
        loss = getattr(nn, name)(**settings, reduction=reduction)(ours, target)
        settings = {
            k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()
        }
        expected = getattr(torch.nn, name)(**settings, reduction=reduction)(
            theirs, torch.tensor(target)
        )
        np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=1e-12, atol=1e-15)
        loss.sum().backward()
        expected.sum().backward()
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (3,)])
def test_classes_along_axis_1_as_pytorch_has_them(shape):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x = generator.normal(size=shape)
    axis = min(1, len(shape) - 1)
    labels = generator.integers(3, size=shape[:axis] + shape[axis + 1 :])
    probabilities = special.softmax(generator.normal(size=shape), axis)
    weight = np.array([0.5, 2.0, 1.0])
    for target, settings in (
        (labels, {}),
        (labels, {"label_smoothing": 0.2, "ignore_index": 1}),
        (probabilities, {"label_smoothing": 0.2}),
        (probabilities, {"reduction": "sum"}),
        (labels, {"reduction": "none"}),
    ):
        ours, theirs = leaf(x), torch.tensor(x, requires_grad=True)
        loss = nn.CrossEntropyLoss(weight, axis=axis, **settings)(ours, target)
        expected = torch.nn.CrossEntropyLoss(torch.tensor(weight), **settings)(
            theirs, torch.tensor(target)
        )
        np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=1e-12)
        loss.sum().backward()
        expected.sum().backward()
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-11, atol=1e-15)
