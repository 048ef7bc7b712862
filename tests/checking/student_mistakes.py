"""Rules as somebody writes them who is learning: each with one mistake, and the kinds true of it.

Several kinds may describe a mistake: `g * x` for the product x·x is half of the gradient, and one
of two uses. None stands for a mistake that has no name; gradcheck must find it, and name no other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import microgradx as mg


class Mistake(NamedTuple):
    """An op with a mistake, its inputs, and the kinds that are true of it."""

    name: str
    kinds: tuple[str | None, ...]
    op: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]


def op_with(forward, rule):
    """An op with this forward, and a backward written with the parameters of `rule`."""
    backward = rule if "self" in rule.__code__.co_varnames[:1] else _as_method(rule)
    return type(
        "Student", (mg.Op,), {"forward": lambda self, *a: forward(*a), "backward": backward}
    )()


def _as_method(rule):
    parameters = ", ".join(rule.__code__.co_varnames[: rule.__code__.co_argcount])
    scope = {"rule": rule}
    exec(f"def backward(self, {parameters}): return rule({parameters})", scope)
    return scope["backward"]


GENERATOR = np.random.default_rng(5)


def n(*shape):
    """Normally distributed numbers."""
    return np.asarray(GENERATOR.normal(size=shape))


def p(*shape):
    """Positive numbers."""
    return np.asarray(GENERATOR.uniform(0.3, 2, size=shape))


def u(*shape):
    """Numbers between -1 and 1."""
    return np.asarray(GENERATOR.uniform(-0.9, 0.9, size=shape))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def relu(x):
    return np.maximum(x, 0)


def onehot(y, k):
    return (np.arange(k) == np.asarray(y)[..., None]).astype(float)


LABELS = [2, 0, 1, 1]
F, M, A, V = "constant factor", "missing factor", "arguments in the wrong order", "wrong variable"
G, S, T = "upstream gradient ignored", "missing sum", "transposed"
R, K, W, E = "gradients in the wrong order", "missing mask", "wrong axis", "error in the rule"
N, U, D, P = "missing gradient", "one of several uses", "double sum", "misplaced"

MISTAKES = [
    Mistake(name, kinds if isinstance(kinds, tuple) else (kinds,), op_with(forward, rule), inputs)
    for name, kinds, forward, rule, inputs in [
        # signs and factors
        ("cos without the sign", F, np.cos, lambda g, out, x: g * np.sin(x), (n(3, 4),)),
        ("sin with a sign", F, np.sin, lambda g, out, x: -g * np.cos(x), (n(),)),
        ("square with 4", F, np.square, lambda g, out, x: 4 * g * x, (n(3),)),
        ("square without 2", (F, U), np.square, lambda g, out, x: g * x, (n(2, 3, 2),)),
        ("cube with 2", F, lambda x: x**3, lambda g, out, x: 2 * g * x**2, (n(5),)),
        ("a factor 3, one element", F, np.exp, lambda g, out, x: 3 * g * out, (np.array([1.0]),)),
        ("a factor 3, three rows", F, np.exp, lambda g, out, x: 3 * g * out, (n(3, 2),)),
        ("log2 as log", (F, M), np.log2, lambda g, out, x: g / x, (p(3),)),
        ("sqrt without the half", F, np.sqrt, lambda g, out, x: g / out, (p(4),)),
        ("mean without 1/n", F, np.mean, lambda g, out, x: np.broadcast_to(g, x.shape), (n(3, 4),)),
        (
            "mean along an axis without 1/n",
            F,
            lambda x: np.mean(x, axis=1, keepdims=True),
            lambda g, out, x: np.broadcast_to(g, x.shape),
            (n(3, 4),),
        ),
        (
            "sum with 1/n",
            F,
            np.sum,
            lambda g, out, x: np.broadcast_to(g / x.size, x.shape),
            (n(7),),
        ),
        (
            "divided by the batch",
            F,
            np.tanh,
            lambda g, out, x: g * (1 - out**2) / len(x),
            (n(6, 2),),
        ),
        ("minus of a difference", F, np.subtract, lambda g, out, x, y: (g, g), (n(3), n(3))),
        ("difference, both signs", F, np.subtract, lambda g, out, x, y: (-g, g), (n(3), n(2, 3))),
        # a factor of the chain rule
        ("sin as identity", M, np.sin, lambda g, out, x: g, (u(3, 2),)),
        ("tanh as identity", M, np.tanh, lambda g, out, x: g * np.ones_like(x), (n(4),)),
        ("exp as identity", M, np.exp, lambda g, out, x: g, (n(4),)),
        ("exp of 2x without 2", F, lambda x: np.exp(2 * x), lambda g, out, x: g * out, (n(4),)),
        ("exp of x² without 2x", M, lambda x: np.exp(x**2), lambda g, out, x: g * out, (u(4),)),
        ("sigmoid, half of it", M, sigmoid, lambda g, out, x: g * out, (n(2, 3),)),
        ("sigmoid, other half", M, sigmoid, lambda g, out, x: g * (1 - out), (n(2, 3),)),
        ("reciprocal, once", (M, V), np.reciprocal, lambda g, out, x: -g * out, (p(4),)),
        ("power with n", M, lambda x: x**3, lambda g, out, x: 3 * g * x**3, (p(4),)),
        (
            "power with n - 2",
            M,
            lambda x: x**3,
            lambda g, out, x: 3 * g * x,
            (np.array([1.0, 2, 3]),),
        ),
        (
            "quotient, y once",
            (M, V),
            np.divide,
            lambda g, out, x, y: (g / y, -g * x / y),
            (n(3), p(3)),
        ),
        (
            "quotient, x forgotten",
            M,
            np.divide,
            lambda g, out, x, y: (g / y, -g / y**2),
            (n(3), p(3)),
        ),
        ("norm, not divided", M, lambda x: np.sqrt(np.sum(x**2)), lambda g, out, x: g * x, (n(5),)),
        ("log, times x", M, np.log, lambda g, out, x: g * x, (p(5),)),
        ("arctan, no square", (M, None), np.arctan, lambda g, out, x: g / (1 + x), (p(4),)),
        (
            "softplus as identity",
            (M, None),
            lambda x: np.log1p(np.exp(x)),
            lambda g, out, x: g,
            (n(4),),
        ),
        # x for out, out for x
        ("tanh with x", V, np.tanh, lambda g, out, x: g * (1 - x**2), (n(3, 2),)),
        ("tanh with x, 0-d", V, np.tanh, lambda g, out, x: g * (1 - x**2), (n(),)),
        (
            "tanh with x at 1, 2, 3",
            V,
            np.tanh,
            lambda g, out, x: g * (1 - x**2),
            (np.array([1.0, 2, 3]),),
        ),
        ("sigmoid with x", V, sigmoid, lambda g, out, x: g * x * (1 - x), (n(4),)),
        ("exp with x", (V, M), np.exp, lambda g, out, x: g * x, (n(4),)),
        ("log with out", (V, M), np.log, lambda g, out, x: g / out, (p(4) + 1,)),
        ("sin with out", V, np.sin, lambda g, out, x: g * np.cos(out), (n(4),)),
        ("sqrt with x", (V, M), np.sqrt, lambda g, out, x: g / (2 * x), (p(2, 2, 2),)),
        ("square with out", (V, M), np.square, lambda g, out, x: 2 * g * out, (p(4),)),
        ("cube root with x", (V, M), np.cbrt, lambda g, out, x: g / (3 * x**2), (p(4),)),
        (
            "log-softmax with out",
            V,
            lambda x: np.log(softmax(x)),
            lambda g, out, x: g - out * np.sum(g, axis=-1, keepdims=True),
            (n(3, 4),),
        ),
        (
            "softmax with x",
            V,
            softmax,
            lambda g, out, x: x * (g - np.sum(g * x, axis=-1, keepdims=True)),
            (n(3, 4),),
        ),
        # swapped inputs
        ("product swapped", R, np.multiply, lambda g, out, x, y: (g * x, g * y), (n(3), n(3))),
        ("product swapped, 0-d", R, np.multiply, lambda g, out, x, y: (g * x, g * y), (n(), n())),
        (
            "product swapped at 1 and 2",
            R,
            np.multiply,
            lambda g, out, x, y: (g * x, g * y),
            (np.array(1.0), np.array(2.0)),
        ),
        (
            "product, x twice",
            (V, M),
            np.multiply,
            lambda g, out, x, y: (g * x, g * x),
            (n(3), n(3)),
        ),
        (
            "quotient swapped",
            (R, None),
            np.divide,
            lambda g, out, x, y: (-g * x / y**2, g / y),
            (n(3), p(3)),
        ),
        (
            "product of matrices swapped",
            (R, E),
            np.matmul,
            lambda g, out, x, w: (x.T @ g, g @ w.T),
            (n(4, 3), n(3, 2)),
        ),
        (
            "product of square matrices swapped",
            R,
            np.matmul,
            lambda g, out, x, w: (x.T @ g, g @ w.T),
            (n(3, 3), n(3, 3)),
        ),
        (
            "arctan2 swapped",
            (R, F, None),
            np.arctan2,
            lambda g, out, y, x: (-g * y / (x * x + y * y), g * x / (x * x + y * y)),
            (p(3), p(3)),
        ),
        (
            "three gradients, turned round",
            R,
            lambda x, y, z: x * y + z,
            lambda g, out, x, y, z: (g, g * y, g * x),
            (n(3), n(3), n(3)),
        ),
        # g
        ("exp without g", G, np.exp, lambda g, out, x: out, (n(3),)),
        ("sum without g", G, np.sum, lambda g, out, x: np.ones_like(x), (n(3),)),
        ("product without g", G, np.multiply, lambda g, out, x, y: (y, x), (n(2, 3), n(2, 3))),
        (
            "mean squared error without g",
            G,
            lambda x, y: np.mean((x - y) ** 2),
            lambda g, out, x, y: (2 * (x - y) / x.size, -2 * (x - y) / x.size),
            (n(5), n(5)),
        ),
        ("tanh without g, 0-d", (G, None), np.tanh, lambda g, out, x: 1 - out**2, (n(),)),
        # the order of backward's parameters
        ("backward(out, g, x)", A, np.tanh, lambda out, g, x: g * (1 - out**2), (n(3),)),
        ("backward(g, x, out)", A, np.tanh, lambda g, x, out: g * (1 - out**2), (n(3),)),
        ("backward(x, g, out)", A, np.sin, lambda x, g, out: g * np.cos(x), (n(3),)),
        ("backward(x, out, g)", A, np.sin, lambda x, out, g: g * np.cos(x), (n(),)),
        (
            "backward(out, g, x, y)",
            A,
            np.multiply,
            lambda out, g, x, y: (g * y, g * x),
            (n(3), n(3)),
        ),
        (
            "backward(x, y, out, g)",
            A,
            np.divide,
            lambda x, y, out, g: (g / y, -g * out / y),
            (p(3), p(3)),
        ),
        (
            "backward(out, g, x, w)",
            A,
            np.matmul,
            lambda out, g, x, w: (g @ w.T, x.T @ g),
            (n(4, 3), n(3, 2)),
        ),
        ("backward(g, x)", E, np.sin, lambda g, x: g * np.cos(x), (n(3),)),
        ("backward(x, g)", E, np.sin, lambda x, g: g * np.cos(x), (n(3),)),
        ("backward(g, x, y)", E, np.multiply, lambda g, x, y: (g * y, g * x), (n(3), n(3))),
        ("backward(g)", E, np.sin, lambda g: g, (n(3),)),
        # masks
        ("relu without a mask", (K, M), relu, lambda g, out, x: g, (np.array([-1.0, 2, -3, 4]),)),
        ("relu with the mask of g", (None,), relu, lambda g, out, x: g * (g > 0), (n(3, 4),)),
        (
            "relu the wrong way round",
            (None,),
            relu,
            lambda g, out, x: g * (x < 0),
            (np.array([-1.0, 2, -3, 4]),),
        ),
        ("max without a mask", (K, None), np.max, lambda g, out, x: g * np.ones_like(x), (n(5),)),
        (
            "clip without a mask",
            K,
            lambda x: np.clip(x, -1, 1),
            lambda g, out, x: g,
            (np.array([-2.0, 0.5, 3.0]),),
        ),
        (
            "where without a mask",
            K,
            lambda x: np.where(x > 0, x, 0.0),
            lambda g, out, x: g,
            (np.array([[-2.0, 0.5], [3.0, -1]]),),
        ),
        (
            "abs without the sign",
            (M, None),
            np.abs,
            lambda g, out, x: g,
            (np.array([-2.0, 0.5, 3.0]),),
        ),
        (
            "max of rows with the mask of all, in row 0",
            None,
            lambda x: np.max(x, axis=1, keepdims=True),
            lambda g, out, x: g * (x == np.max(x)),
            (np.array([[1.0, 9.0], [2.0, 4.0], [3.0, 1.0]]),),
        ),
        # sums over axes
        ("bias of the first row", S, np.add, lambda g, out, x, b: (g, g[0]), (n(4, 3), n(3))),
        (
            "bias over the wrong axis",
            W,
            np.add,
            lambda g, out, x, b: (g, g.sum(1)),
            (n(3, 3), n(3)),
        ),
        (
            "bias over all",
            D,
            np.add,
            lambda g, out, x, b: (g, np.full_like(b, g.sum())),
            (n(4, 3), n(3)),
        ),
        (
            "scale over the wrong axis",
            W,
            np.multiply,
            lambda g, out, x, s: (g * s, (g * x).sum(1)),
            (n(3, 3), n(3)),
        ),
        ("bias, mean for sum", F, np.add, lambda g, out, x, b: (g, g.mean(0)), (n(4, 3), n(3))),
        ("bias of a wrong shape", E, np.add, lambda g, out, x, b: (g, g.sum(1)), (n(4, 3), n(3))),
        (
            "sum of rows along the wrong axis",
            (T, None),
            lambda x: x.sum(1),
            lambda g, out, x: g * np.ones_like(x),
            (n(3, 3),),
        ),
        (
            "sum of rows, not expanded",
            E,
            lambda x: x.sum(1),
            lambda g, out, x: g * np.ones_like(x),
            (n(4, 3),),
        ),
        ("sum of rows, g of its shape", E, lambda x: x.sum(1), lambda g, out, x: g, (n(4, 3),)),
        (
            "lookup that overwrites",
            S,
            lambda x: x[[0, 2, 0, 2]],
            lambda g, out, x: np.stack([g[2], 0 * g[0], g[3]]),
            (n(3, 2),),
        ),
        # products
        (
            "left factor, w not transposed",
            T,
            np.matmul,
            lambda g, out, x, w: (g @ w, x.T @ g),
            (n(4, 3), n(3, 3)),
        ),
        (
            "right factor transposed",
            T,
            np.matmul,
            lambda g, out, x, w: (g @ w.T, g.T @ x),
            (n(4, 3), n(3, 3)),
        ),
        (
            "right factor of a wrong shape",
            (T, E),
            np.matmul,
            lambda g, out, x, w: (g @ w.T, g.T @ x),
            (n(4, 3), n(3, 2)),
        ),
        (
            "x not transposed",
            E,
            np.matmul,
            lambda g, out, x, w: (g @ w.T, x @ g),
            (n(4, 3), n(3, 2)),
        ),
        (
            "outer, the other way",
            (E, T),
            np.outer,
            lambda g, out, x, y: (g @ y, g @ x),
            (n(3), n(4)),
        ),
        ("dot product swapped", R, np.dot, lambda g, out, x, y: (g * x, g * y), (n(3), n(3))),
        # positions
        ("cumulative sum, forward", T, np.cumsum, lambda g, out, x: np.cumsum(g), (n(5),)),
        (
            "roll, forward",
            (T, P),
            lambda x: np.roll(x, 1),
            lambda g, out, x: np.roll(g, 1),
            (n(5),),
        ),
        ("flip forgotten", P, lambda x: x[::-1], lambda g, out, x: g, (n(5),)),
        (
            "permutation, forward",
            T,
            lambda x: x[[2, 0, 1, 3]],
            lambda g, out, x: g[[2, 0, 1, 3]],
            (n(4),),
        ),
        (
            "difference, off by one",
            (P, None),
            lambda x: x[1:],
            lambda g, out, x: np.append(g, 0),
            (n(5),),
        ),
        (
            "first elements, off by one",
            P,
            lambda x: x[:-1],
            lambda g, out, x: np.append(0, g),
            (n(5),),
        ),
        ("transpose forgotten", T, lambda x: x.T * 1.0, lambda g, out, x: g, (n(3, 3),)),
        (
            "transpose forgotten, not square",
            T,
            lambda x: x.T * 1.0,
            lambda g, out, x: g,
            (n(3, 2),),
        ),
        # softmax and losses
        (
            "softmax, the diagonal only",
            S,
            softmax,
            lambda g, out, x: g * out * (1 - out),
            (n(3, 4),),
        ),
        (
            "softmax of a vector, the diagonal only",
            S,
            softmax,
            lambda g, out, x: g * out * (1 - out),
            (n(4),),
        ),
        (
            "softmax without the sum",
            (None, S, M, U),
            softmax,
            lambda g, out, x: g * out,
            (n(3, 4),),
        ),
        (
            "softmax, sum over the batch",
            (None,),
            softmax,
            lambda g, out, x: out * (g - np.sum(g * out, axis=0)),
            (n(3, 4),),
        ),
        (
            "cross-entropy without 1/n",
            F,
            lambda z: -np.mean(np.log(softmax(z))[np.arange(4), LABELS]),
            lambda g, out, z: g * (softmax(z) - onehot(LABELS, 3)),
            (n(4, 3),),
        ),
        (
            "cross-entropy without the labels",
            (None,),
            lambda z: -np.mean(np.log(softmax(z))[np.arange(4), LABELS]),
            lambda g, out, z: g * softmax(z) / 4,
            (n(4, 3),),
        ),
        (
            "cross-entropy with the sign",
            F,
            lambda z: -np.mean(np.log(softmax(z))[np.arange(4), LABELS]),
            lambda g, out, z: g * (onehot(LABELS, 3) - softmax(z)) / 4,
            (n(4, 3),),
        ),
        (
            "cross-entropy divided by the classes",
            F,
            lambda z: -np.mean(np.log(softmax(z))[np.arange(4), LABELS]),
            lambda g, out, z: g * (softmax(z) - onehot(LABELS, 3)) / 3,
            (n(4, 3),),
        ),
        (
            "log-sum-exp, all ones",
            (None, M),
            lambda x: np.log(np.sum(np.exp(x), axis=-1)),
            lambda g, out, x: g[..., None] * np.ones_like(x),
            (n(3, 4),),
        ),
        (
            "mean squared error without 2",
            F,
            lambda x: np.mean(x**2),
            lambda g, out, x: g * x / x.size,
            (n(6),),
        ),
        # uses
        ("x sin x, one use", U, lambda x: x * np.sin(x), lambda g, out, x: g * np.sin(x), (n(4),)),
        (
            "x tanh x, the other use",
            U,
            lambda x: x * np.tanh(x),
            lambda g, out, x: g * x / np.cosh(x) ** 2,
            (n(4),),
        ),
        (
            "standardised, the mean a constant",
            U,
            lambda x: x - np.mean(x, axis=0),
            lambda g, out, x: g * 1.0,
            (n(4, 3),),
        ),
        # what is returned
        ("no return", N, np.sin, lambda g, out, x: None, (n(3),)),
        ("no return, two inputs", N, np.multiply, lambda g, out, x, y: None, (n(3), n(3))),
        ("None for one input", N, np.multiply, lambda g, out, x, y: (g * y, None), (n(3), n(3))),
        ("zeros", N, np.exp, lambda g, out, x: np.zeros_like(x), (n(3),)),
        ("one gradient for two", E, np.multiply, lambda g, out, x, y: g * y, (n(3), n(3))),
        (
            "three gradients for two",
            E,
            np.multiply,
            lambda g, out, x, y: (g * y, g * x, g),
            (n(3), n(3)),
        ),
        ("a list", E, np.exp, lambda g, out, x: [3.0, 4.0, 5.0], (n(3),)),
        ("a string", E, np.exp, lambda g, out, x: "steep", (n(3),)),
        (
            "a sum, 0-d for a vector",
            (None, G, D),
            np.exp,
            lambda g, out, x: np.sum(g * out),
            (n(3),),
        ),
        ("too many axes", E, np.exp, lambda g, out, x: (g * out)[None, :, None], (n(3),)),
        ("NaN", "not finite", np.exp, lambda g, out, x: g * np.nan, (n(3),)),
        ("writes into g", E, np.exp, lambda g, out, x: np.multiply(g, out, out=g), (n(3),)),
        ("an undefined name", E, np.exp, lambda g, out, x: g * out.value, (n(3),)),
        # for some elements only
        (
            "only the first row",
            "outside the first row",
            np.exp,
            lambda g, out, x: g * out * (np.arange(4) == 0)[:, None],
            (n(4, 3),),
        ),
        (
            "the first row's scale",
            "outside the first row",
            lambda x: (
                x / np.sum(np.abs(x), axis=1, keepdims=True) * 0
                + x * np.max(np.abs(x), axis=1, keepdims=True) * 0
                + x**2
            ),
            lambda g, out, x: g * 2 * x[:1],
            (n(4, 3),),
        ),
        (
            "wrong at one element",
            None,
            np.exp,
            lambda g, out, x: g * out * np.array([1, 1, 5.0, 1]),
            (n(4),),
        ),
        (
            "wrong in the last row",
            None,
            np.exp,
            lambda g, out, x: g * out * np.array([1, 1, 5.0])[:, None],
            (n(3, 2),),
        ),
        (
            "wrong but at 0",
            (F, None),
            np.square,
            lambda g, out, x: 3 * g * x,
            (np.array([0.0, 1.0]),),
        ),
        (
            "cube at 1, 2, 3",
            M,
            lambda x: x**3,
            lambda g, out, x: 3 * g * x,
            (np.array([1.0, 2.0, 3.0]),),
        ),
        (
            "square at 2",
            (F, None),
            np.square,
            lambda g, out, x: g * (x + 2),
            (np.array([2.0, 1.0]),),
        ),
    ]
]
