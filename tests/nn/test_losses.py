"""Losses as functions and as modules: values, weights, shapes. Their derivatives: the op table."""

import numpy as np
import pytest

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
