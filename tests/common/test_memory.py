"""Memory of large results: lent again when nobody uses it, and only then."""

import subprocess
import sys

import numpy as np
import pytest

import microgradx as mg
from microgradx.common import memory


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(memory, "LARGE", 64)
    mg.release_memory()
    yield
    mg.release_memory()


def empty(shape, dtype):
    return memory.pooled_empty(shape, np.dtype(dtype))


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize(("shape", "dtype"), [((3, 8), np.float32), ((16,), "f8"), ((64, 2), "e")])
def test_it_is_an_array_like_any_other(shape, dtype):
    array = empty(shape, dtype)
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    array[...] = 1
    assert np.all(array == 1)


def test_memory_is_lent_again_when_nobody_uses_it():
    first = empty((4, 8), np.float32)
    place = address(first)
    second = empty((4, 8), np.float32)
    assert not np.shares_memory(first, second)
    del first
    third = empty((16,), np.float64)
    assert address(third) == place
    assert not np.shares_memory(second, third)
    assert not np.shares_memory(third, empty((4, 8), np.float32))


def test_a_view_keeps_the_memory():
    array = empty((4, 8), np.float32)
    array[...] = 7
    view = array[1:].T[2]
    del array
    other = empty((4, 8), np.float32)
    other[...] = 0
    assert not np.shares_memory(view, other)
    assert np.all(view == 7)


def test_a_smaller_array_takes_it_too_but_not_one_of_less_than_half_nor_a_larger_one():
    array = empty((64,), np.float32)
    place = address(array)
    del array
    array = empty((40,), np.float32)
    assert address(array) == place
    del array
    array = empty((64,), np.float32)
    assert address(array) == place
    del array
    assert memory._spare[0].size == 256
    array = empty((31,), np.float32)
    assert array.base.memory.size == 124
    del array
    assert empty((32,), np.float32).base.memory.size == 128


def test_at_most_one_is_kept_and_release_lets_go_of_it():
    arrays = [empty((64,), np.float32) for _ in range(3)]
    assert len(memory._spare) == 0
    arrays.clear()
    assert len(memory._spare) == 1
    mg.release_memory()
    assert len(memory._spare) == 0
    mg.release_memory()


def test_small_arrays_are_numpys_own():
    assert empty((15,), np.float32).base is None
    assert len(memory._spare) == 0


def test_gradients_of_losses_share_nothing_though_memory_is_lent_again(generator):
    z = generator.normal(size=(50, 400)).astype(np.float32)
    labels = generator.integers(400, size=50)
    expected = None
    kept = []
    for _ in range(4):
        t = mg.Tensor(z, requires_grad=True)
        loss = mg.cross_entropy(t, labels)
        loss.backward()
        once = t.grad.copy()
        loss.backward()
        np.testing.assert_array_equal(t.grad, 2 * once)
        expected = once if expected is None else expected
        np.testing.assert_array_equal(once, expected)
        kept.append((t.grad, loss))
    for i, (gradient, _) in enumerate(kept):
        assert all(not np.shares_memory(gradient, other) for other, _ in kept[:i])


def test_arrays_that_live_until_python_exits_are_no_trouble():
    program = """
import numpy as np
from microgradx.common import memory
memory.LARGE = 64
a, b = (memory.pooled_empty((64,), np.dtype(np.float32)) for _ in range(2))
cycle = [b]; cycle.append(cycle)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
