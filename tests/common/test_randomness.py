"""One seeded place for everything that draws without a generator of its own."""

import numpy as np
import pytest

import microgradx as mg
from microgradx.common.randomness import as_generator, default_generator, manual_seed


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    manual_seed(7)
    first = default_generator().random(5)
    manual_seed(7)
    assert np.array_equal(default_generator().random(5), first)
    manual_seed(8)
    assert not np.array_equal(default_generator().random(5), first)


def test_it_is_numpys_generator_of_that_seed():
    mg.manual_seed(3)
    assert np.array_equal(default_generator().random(5), np.random.default_rng(3).random(5))


def test_manual_seed_governs_layers_dropout_batches_splits_and_toy_data():
    def everything():
        mg.manual_seed(11)
        net = mg.nn.MLP(2, (5,), 3, dropout=0.5)
        X, y = mg.data.spirals(30)
        train, _ = mg.data.stratified_split(y, 0.3)
        batch, _ = next(iter(mg.data.batches(X[train], y[train], 8)))
        return net(batch).data

    assert np.array_equal(everything(), everything())


def test_a_generator_passed_in_leaves_the_default_one_alone():
    manual_seed(0)
    expected = np.random.default_rng(0).random()
    own = np.random.default_rng(5)
    mg.nn.MLP(2, (5,), 3, dropout=0.5, generator=own)(np.ones((4, 2)))
    X, y = mg.data.moons(20, generator=own)
    mg.data.stratified_split(y, 0.3, own)
    list(mg.data.batches(X, y, 8, own))
    assert default_generator().random() == expected


@pytest.mark.parametrize("seed", [1.5, "0", None])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(TypeError, match="must be an integer from 0 up"):
        manual_seed(seed)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="must be an integer from 0 up, not -1"):
        manual_seed(-1)


def test_numpys_integers_are_seeds():
    assert manual_seed(np.int64(4)).random() == np.random.default_rng(4).random()


def test_a_seed_in_place_of_a_generator_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"not 0; np\.random\.default_rng\(0\)"):
        as_generator(0)
    for call in (
        lambda: mg.nn.Linear(2, 2, generator=0),
        lambda: mg.nn.Dropout(0.5, 0),
        lambda: mg.data.batches([[1.0]], [0], 1, 0),
        lambda: mg.data.moons(10, generator=0),
        lambda: mg.data.stratified_split([0, 0], 0.5, 0),
    ):
        with pytest.raises(TypeError, match=r"must be a numpy\.random\.Generator, not 0"):
            call()
