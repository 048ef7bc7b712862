"""Gradients and Hessian-vector products of functions of one array, by the sweep."""

import numpy as np

import microgradx as mg
from tests.helpers import leaf


def gradient(f, x):
    """The gradient of the sum of f(x)."""
    t = leaf(x)
    mg.sum(f(t)).backward()  # where a warning is an error
    return t.grad


def second_derivative(f, x, weights):
    """The gradient of Σ weights · (the gradient of f) at x: a Hessian-vector product."""
    t = leaf(x)
    mg.sum(f(t)).backward(create_graph=True)
    first, t.grad = t.grad, None
    if first.requires_grad:
        mg.sum(first * weights).backward()
    return np.zeros_like(t.data) if t.grad is None else t.grad
