"""The softmax family against mpmath, in units in the last place."""

import mpmath
import numpy as np
import pytest

import microgradx as mg
from benchmarks.accuracy import (
    QUANTITIES,
    compute_by_microgradx,
    errors_in_ulps,
    exact_quantities,
    largest_errors,
    logit_rows,
)

pytestmark = pytest.mark.slow  # mpmath computes thousands of digits

BOUNDS = {"logsumexp": 1, "log_softmax": 2, "softmax": 4, "loss": 2, "gradient": 6}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_are_within_few_units_in_the_last_place(dtype, seed):
    worst = largest_errors(compute_by_microgradx, dtype, seed, repeats=3)
    assert set(BOUNDS) == set(QUANTITIES)
    assert len({kind for kind, _ in worst}) == 8
    too_large = {at: error for at, error in worst.items() if error > BOUNDS[at[1]]}
    assert not too_large


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_row_sums_to_zero(dtype):
    for kind, z, label in logit_rows(dtype, seed=2, repeats=3):
        gradient = compute_by_microgradx(z, label)["gradient"][0]
        with mpmath.workdps(60):
            total = abs(mpmath.fsum(mpmath.mpf(float(each)) for each in gradient))
            unit = mpmath.mpf(float(np.spacing(np.max(np.abs(gradient)))))
            assert total <= len(z) / 2 * unit, (kind, len(z))


def test_a_confident_row_keeps_its_digits():
    # In float32 PyTorch gives the loss 0.0 here, and a gradient that does not sum to 0.
    logits = mg.Tensor([[17.0, 0.0, 0.0]], dtype=np.float32, requires_grad=True)
    loss = mg.cross_entropy(logits, [0])
    loss.backward()
    true = float(mpmath.log1p(2 * mpmath.exp(-17)))
    assert loss.item() == np.float32(true)
    assert f"{true:.2e}" == "8.28e-08"
    assert np.sum(logits.grad) == 0
    assert np.all(logits.grad != 0)


@pytest.mark.parametrize(("dtype", "gap"), [(np.float32, 35), (np.float64, 40), (np.float64, 700)])
@pytest.mark.parametrize("sign", [1, -1])
def test_logsumexp_beside_a_logit_of_0_is_the_small_rest(dtype, gap, sign):
    """ln(1 + e⁻⁴⁰), which a sum 1 + e⁻⁴⁰ = 1 would lose."""
    z = np.array([0, -gap], dtype)[::sign]
    true = dtype(mpmath.log1p(mpmath.exp(-gap)))
    for x in (z, z[None], np.stack([z, z]), z[:, None], np.repeat(z[None], 300, 0)):
        axis = 0 if x.shape == (2, 1) else -1
        for result in (
            mg.logsumexp(x, axis),
            mg.logsumexp(mg.Tensor(x, requires_grad=True), axis).data,
            mg.logaddexp(x.take(0, axis), x.take(1, axis)),
        ):
            np.testing.assert_allclose(result, true, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_confident_one_hot_rows_of_probabilities_keep_their_digits(dtype):
    logits = mg.Tensor([[30.0, 0.0, 1.0], [0.0, 25.0, 0.0]], dtype=dtype, requires_grad=True)
    mg.cross_entropy(logits, np.eye(3)[[0, 1]]).backward()
    labelled = mg.Tensor(logits.data, requires_grad=True)
    mg.cross_entropy(labelled, [0, 1]).backward()
    np.testing.assert_allclose(logits.grad, labelled.grad, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "magnitude"), [(np.float32, 1e38), (np.float64, 1e38), (np.float64, 1.7e308)]
)
def test_the_largest_logits_give_finite_losses_where_these_can_be_represented(dtype, magnitude):
    z = np.array([[1, 1, -1]], dtype) * dtype(magnitude)
    logits = mg.Tensor(z, requires_grad=True)
    loss = mg.cross_entropy(logits, [0])
    loss.backward()
    assert loss.item() == dtype(np.log(2))
    np.testing.assert_array_equal(logits.grad, np.array([[-0.5, 0.5, 0]], dtype))
    np.testing.assert_array_equal(mg.softmax(z), np.array([[0.5, 0.5, 0]], dtype))
    far = mg.cross_entropy(z / 4, [2])
    assert far == np.asarray(z[0, 0] / 2 + dtype(np.log(2)))


def test_a_mean_of_large_losses_is_finite_though_their_sum_is_not():
    z = np.array([[1.5e308, 0.0]] * 3)
    assert mg.cross_entropy(z, [1, 1, 1]) == 1.5e308
    assert mg.cross_entropy(z, [1, 1, 1], reduction="sum") == np.inf


def test_logits_spread_over_1e4_give_exact_losses():
    z = np.array([[1e4, 0.0, -1e4]])
    losses = [float(mg.cross_entropy(z, [label])) for label in range(3)]
    assert losses == [0.0, 1e4, 2e4]


def test_sigmoid_and_softplus_do_not_overflow():
    x = np.array([-1e4, -700.0, 0.0, 700.0, 1e4])
    np.testing.assert_array_equal(mg.sigmoid(x), [0, np.exp(-700.0), 0.5, 1, 1])
    np.testing.assert_allclose(mg.softplus(x), [0, np.exp(-700.0), np.log(2), 700, 1e4], rtol=1e-15)


@pytest.mark.parametrize("temperature", [0.01, 0.7, 3.0])
def test_a_temperature_costs_no_digits_in_float32(temperature):
    dtype = np.float32
    temperature = float(dtype(temperature))
    for kind, z, label in logit_rows(dtype, seed=3, repeats=2):
        if kind in ("near the largest float", "spread over 1e4"):
            continue
        true = exact_quantities(z, label, temperature)
        for name, f in (("softmax", mg.softmax), ("log_softmax", mg.log_softmax)):
            computed = f(z, temperature=temperature)
            assert errors_in_ulps(computed, true[name], dtype) <= BOUNDS[name], (kind, name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("gap", [5.0, 20.0, 40.0, 80.0])
def test_the_derivatives_of_the_most_probable_class_keep_their_digits(dtype, gap):
    """Where p rounds to 1: of softmax p (1 - p), of its logarithm 1 - p."""
    z, eps = np.array([gap, 0.0, -1.0], dtype), np.finfo(dtype).eps
    with mpmath.workprec(200):
        others = mpmath.exp(-gap) + mpmath.exp(-gap - 1)
        p = 1 / (1 + others)
        expected = {"softmax": p * others * p, "log_softmax": others * p, "loss": -others * p}
        # Of f(p) = p (1 - p) by the same logit: p (1 - p) (1 - 2 p).
        second = {"softmax": p * others * p * (1 - 2 * p), "loss": others * p * p}
    functions = {
        "softmax": lambda z: mg.softmax(z)[0],
        "log_softmax": lambda z: mg.log_softmax(z)[0],
        "loss": lambda z: mg.cross_entropy(z[None], np.array([0])),
    }
    for name, f in functions.items():
        np.testing.assert_allclose(
            mg.grad(f)(z)[0], float(expected[name]), rtol=6 * np.finfo(dtype).eps
        )
        t = mg.Tensor(z, requires_grad=True)
        f(t).backward(create_graph=True)
        np.testing.assert_allclose(
            t.grad.data[0], float(expected[name]), rtol=6 * np.finfo(dtype).eps
        )
    for name in second:
        found = mg.hessian(functions[name])(z)[0, 0]
        np.testing.assert_allclose(found, float(second[name]), rtol=12 * eps)


@pytest.mark.parametrize("x", [-700.0, -40.0, -1e-9, 1e-9, 3.0, 40.0, 700.0])
def test_second_derivatives_of_sigmoid_and_tanh_keep_their_digits(x):
    with mpmath.workprec(2500):
        s, t = 1 / (1 + mpmath.exp(-mpmath.mpf(x))), mpmath.tanh(mpmath.mpf(x) / 2)
        of_sigmoid, of_tanh = s * (1 - s) * (1 - 2 * s), -2 * t * (1 - t * t)
    np.testing.assert_allclose(mg.hessian(mg.sigmoid)(x), float(of_sigmoid), rtol=1e-15)
    np.testing.assert_allclose(mg.hessian(mg.tanh)(x / 2), float(of_tanh), rtol=1e-15)
    np.testing.assert_allclose(mg.grad(mg.hessian(mg.sigmoid))(0.0), -1 / 8)
