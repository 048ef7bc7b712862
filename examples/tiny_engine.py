"""Backpropagation in fifty lines: microgradx's engine, without its checks and its speed."""

from itertools import count

import numpy as np

creation_counter = count()


class Tensor:
    """An array that remembers which op made it, and from which Tensors."""

    def __init__(self, data, op=None, inputs=()):
        self.data = np.array(data, dtype=float)
        self.op, self.inputs = op, inputs
        self.grad = np.zeros_like(self.data)
        self.sequence_number = next(creation_counter)

    def backward(self):
        gradients = {self: np.ones_like(self.data)}
        while gradients:
            out = max(gradients, key=lambda tensor: tensor.sequence_number)  # the newest
            g = gradients.pop(out)  # complete: all that was computed from it has had its turn
            if out.op is None:
                out.grad += g
                continue
            arrays = [x.data for x in out.inputs]
            for x, gradient in zip(out.inputs, out.op.backward(g, out.data, *arrays), strict=True):
                gradients[x] = gradients.get(x, 0) + unbroadcast(gradient, x.data.shape)


def unbroadcast(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


class Op:
    """A function of arrays, and its vector-Jacobian product."""

    def __init__(self, forward, backward):
        self.forward, self.backward = forward, backward

    def __call__(self, *inputs):
        return Tensor(self.forward(*(x.data for x in inputs)), self, inputs)


add = Op(np.add, lambda g, out, x, y: (g, g))
multiply = Op(np.multiply, lambda g, out, x, y: (g * y, g * x))
matmul = Op(np.matmul, lambda g, out, x, y: (g @ y.T, x.T @ g))
tanh = Op(np.tanh, lambda g, out, x: (g * (1 - out**2),))
