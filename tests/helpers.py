"""What the tests of several rooms share."""

import numpy as np

from microgradx import Op, Tensor

FLOATS = [np.float16, np.float32, np.float64]


def leaf(data, name=None, dtype=None):
    """A Tensor that requires gradients; integers become float64."""
    if dtype is None and np.asarray(data).dtype.kind in "biu":
        dtype = np.float64
    return Tensor(data, requires_grad=True, name=name, dtype=dtype)


def first(self, *inputs):
    return inputs[0] * 1


def op_with(backward, forward=first, name="odd"):
    """An op with the rule given: what a user might get right or wrong."""
    return type(name, (Op,), {"forward": forward, "backward": backward})()


class Cube(Op):
    formula = "x³"

    def forward(self, x):
        return x**3

    def backward(self, g, out, x):
        return g * 3 * x**2


class SavingSquare(Op):
    """x², whose rule uses what forward saved if it runs on arrays."""

    def __init__(self):
        self.calls = []

    def forward(self, x):
        self.calls.append("forward")
        return x * x

    def forward_saving(self, x):
        self.calls.append("forward_saving")
        self.saved = 2 * x
        return x * x

    def backward(self, g, out, x):
        return g * self.saved if self.saved is not None and isinstance(g, np.ndarray) else g * 2 * x


def assert_owned(grad, *others):
    """A writable array that shares memory with none of the others."""
    assert type(grad) is np.ndarray
    assert grad.flags.writeable
    assert grad.base is None
    for other in others:
        assert not np.shares_memory(grad, other)
