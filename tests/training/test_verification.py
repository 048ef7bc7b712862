"""The check before a training passes for right gradients, and fails for wrong ones."""

import numpy as np
import pytest

from microgradx import nn
from microgradx.checking.gradients import GradcheckError
from microgradx.ops.products import Linear
from microgradx.ops.softmax import SoftmaxCrossEntropy
from microgradx.training import verify_gradients


def make_problem(activation="relu"):
    generator = np.random.default_rng(0)
    model = nn.MLP(4, [30, 6], 3, activation, dtype=np.float64, generator=generator)
    return model, generator.normal(size=(9, 4)), generator.integers(0, 3, 9)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_right_gradients(activation, label_smoothing):
    model, x, y = make_problem(activation)
    before = model.state_dict()
    found = verify_gradients(model, x, y, label_smoothing=label_smoothing)
    assert found.rows == 9
    assert found.logits_error < 1e-16
    assert found.parameters_error < 1
    # Twenty elements at most of each of the three weights and biases.
    assert found.checked == 20 + 20 + 20 + 6 + 18 + 3
    assert found.parameters == 4 * 30 + 30 + 30 * 6 + 6 + 6 * 3 + 3
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_wrong_gradient_of_the_loss(monkeypatch):
    right = SoftmaxCrossEntropy.by_logits
    monkeypatch.setattr(SoftmaxCrossEntropy, "by_logits", lambda *args: right(*args) * (1 + 1e-6))
    with pytest.raises(ArithmeticError, match=r"differs from \(p - y\) / 9"):
        verify_gradients(*make_problem())


def test_a_wrong_gradient_of_a_layer(monkeypatch):
    by_x, by_weight, by_bias = Linear.derivatives
    wrong = (by_x, lambda *args: by_weight(*args) * 1.01, by_bias)
    monkeypatch.setattr(Linear, "derivatives", wrong)
    with pytest.raises(GradcheckError, match=r"0\.weight"):
        verify_gradients(*make_problem())
