"""The doctor on cases that it was not made for."""

from __future__ import annotations

import numpy as np
import pytest

import microgradx as mg
from tests.training.doctor.planted_by_others import (
    CASES,
    HEALTHY,
    a_hundred_columns_for_seventy_rows,
    rate_3_with_momentum_99,
)

QUICK = {"a_hundred_columns_for_seventy_rows", "rate_3_with_momentum_99", "iris_with_momentum"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in CASES]
)
def test_each_case_has_its_findings_alone(name):
    kinds, make = CASES[name]
    model, data, settings = make()
    found = mg.diagnose(model, data, **settings)
    assert found.kinds == kinds, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_a_healthy_training_from_other_weights(name, seed):
    model, data, settings = CASES[name][1](seed)
    found = mg.diagnose(model, data, seed=seed, **settings)
    assert not found, str(found)


def test_overfitting_is_measured_on_weights_that_were_trained():
    model, data, settings = a_hundred_columns_for_seventy_rows()
    (found,) = mg.diagnose(model, data, **settings)
    assert found.sentence.startswith("After 200 steps of a copy, the loss is ")
    assert found.numbers["training loss"] < 0.01
    # Even stopped early it is worse than the class frequencies, whose loss is about ln 2.
    assert found.numbers["lowest"] == pytest.approx(np.log(2), rel=0.02)
    assert "no better than a constant prediction" in found.remedy


def test_a_rate_is_suggested_that_suits_the_momentum():
    model, data, settings = rate_3_with_momentum_99()
    (found,) = mg.diagnose(model, data, **settings)
    numbers = found.numbers
    limit = 2 * 1.99 / numbers["curvature"]
    assert numbers["largest stable lr"] == pytest.approx(limit)
    assert limit / 100 < numbers["suggested lr"] <= limit / 4
    assert numbers["loss with remedy"] < 0.1
    assert f"rates above 2 (1 + μ) / λ = {limit:.2g} diverge" in found.sentence


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "momentum", "lower"), [(0.2, 0.99, "0.9"), (1.0, 0.9, "0")])
def test_a_momentum_is_named_where_lowering_it_helps(lr, momentum, lower):
    model, data, settings = rate_3_with_momentum_99()
    settings["optimizer"] = mg.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    (found,) = mg.diagnose(model, data, **settings)
    assert found.kind == "learning rate too large"
    assert f"or the momentum to {lower};" in found.remedy
