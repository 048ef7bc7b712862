"""Features of bad scale are found at rates at which the network learns in spite of them."""

from __future__ import annotations

import numpy as np
import pytest

import microgradx as mg
from tests.training.doctor.cases import generator, mlp, raw_table

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("lr", "seed"),
    [(0.003, 0), (0.001, 1)]
    + [pytest.param(lr, s, marks=SLOW) for lr in (0.0003, 0.01, 0.03, 0.1) for s in (0, 1)],
)
def test_raw_features_are_found_at_any_rate(lr, seed):
    found = mg.diagnose(mlp(13, [32], 3, seed=seed), raw_table("wine"), lr=lr)
    assert found.kinds == ["features not standardised"]
    assert found[0].numbers["loss with remedy"] < 0.2 * found[0].numbers["loss after"]
    assert found[0].numbers["largest"] > 100 * found[0].numbers["smallest"]


@pytest.mark.parametrize("epochs", [5, pytest.param(30, marks=SLOW), pytest.param(100, marks=SLOW)])
def test_raw_features_are_found_in_a_history(epochs):
    model = mlp(13, [32], 3)
    history = mg.fit(
        model, raw_table("wine"), lr=0.01, validation=0.2, epochs=epochs, generator=generator(),
        progress=False,
    )  # fmt: skip
    assert history.diagnose().kinds == ["features not standardised"]


def test_scales_that_cost_nothing_are_not_reported():
    draw = generator()
    y = draw.integers(3, size=300)
    X = np.eye(3)[y] + 0.05 * draw.normal(size=(300, 3))
    X = np.column_stack([X, 0.005 * draw.normal(size=300)])  # a deviation far from the others
    found = mg.diagnose(mlp(4, [16], 3), (X, y), lr=0.01)
    assert not found, str(found)


def test_a_result_worse_than_a_constant_is_not_called_good():
    """Weights that the last epoch has spoilt, on rows that are easy to learn."""
    draw = generator()
    y = draw.integers(2, size=200)
    X = draw.normal(size=(200, 2)) + 3 * np.eye(2)[y]
    model = mlp(2, [8], 2)
    history = mg.fit(model, (X, y), lr=0.01, epochs=2, generator=draw, progress=False)
    with mg.no_grad():
        for parameter in list(model.parameters())[-2:]:
            parameter.data = -6 * parameter.data
    found = history.diagnose()
    assert found.kinds, "nothing was found"
    assert found[0].kind == "worse than a constant prediction", str(found)
    assert found[0].numbers["loss"] > found[0].numbers["loss of a constant"]
