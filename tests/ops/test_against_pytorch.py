"""Values and gradients against PyTorch's, in float64, wherever the conventions agree.

The calls are those of the ops' table, which has empty, 0-d and size-1 arrays, broadcasting both
ways, negative and tuple axes. Here stands, for each public name, what PyTorch calls the same
thing; or why it has none. Then special values, where rules go wrong, and second derivatives.
"""

import itertools
import math

import numpy as np
import pytest

import microgradx as mg
from microgradx.ops import activations, elementwise, indexing, rearrangements, reductions, shapes
from tests.ops.table import elementwise as elementwise_rows
from tests.ops.table import indexing as indexing_rows
from tests.ops.table import rearrangements as rearrangements_rows
from tests.ops.table import reductions as reductions_rows
from tests.ops.table import shapes as shapes_rows

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
F = torch.nn.functional

FAMILIES = (elementwise, activations, reductions, shapes, indexing, rearrangements)
ROWS = {
    **elementwise_rows.ROWS,
    **reductions_rows.ROWS,
    **shapes_rows.ROWS,
    **indexing_rows.ROWS,
    **rearrangements_rows.ROWS,
}


# ---------------------------------------------------------------------------- PyTorch's side


def over_rows(function):
    """A PyTorch reduction of one axis, made to take None or a tuple, and `keepdims`."""

    def reduce(x, axis=None, keepdims=False):
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = sorted(i % x.ndim for i in axes)
        kept = [i for i in range(x.ndim) if i not in axes]
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i in kept]
        n = math.prod(x.shape[i] for i in axes)
        return function(x.permute((*kept, *axes)).reshape(-1, n)).reshape(shape)

    return reduce


def cumulate(function):
    """NumPy runs over all elements where there is no axis."""
    return lambda x, axis=None: function(x.ravel() if axis is None else x, axis or 0)


def behind_initial(function, make):
    """A cumulation, with the sum or product of no elements before it."""

    def cumulate(x, axis=0, include_initial=False):
        out = function(x, axis)
        first = make(*[1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)]).to(x)
        return torch.cat([first, out], axis) if include_initial else out

    return cumulate


def clamp(x, a_min=None, a_max=None, min=None):
    lowest = a_min if min is None else min
    return x.clone() if lowest is None and a_max is None else torch.clamp(x, lowest, a_max)


def at_index(x, index):
    """`x[index]`, of which PyTorch has all but a backward slice."""
    if isinstance(index, slice) and (index.step or 1) < 0:
        return x.flip(0)[:: -index.step]
    parts = index if isinstance(index, tuple) else (index,)
    parts = (torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in parts)
    return x[
        tuple(
            torch.zeros(0, dtype=torch.long) if isinstance(part, list) and not part else part
            for part in parts
        )
    ]


def take(x, indices, axis=None):
    indices = torch.as_tensor(np.asarray(indices, int))
    if axis is None:
        return torch.take(x, indices)
    chosen = indices.ravel() % x.shape[axis]
    axis %= x.ndim
    return torch.index_select(x, axis, chosen).reshape(
        *x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]
    )


def take_along(x, indices, axis=-1):
    return torch.take_along_dim(x, torch.as_tensor(indices), axis)


def compress(x, condition, axis=None):
    chosen = torch.as_tensor(np.flatnonzero(condition))
    return x.ravel()[chosen] if axis is None else torch.index_select(x, axis, chosen)


def sort(x, axis=-1, stable=None):
    return (
        torch.sort(x.ravel()).values
        if axis is None
        else torch.sort(x, dim=axis, stable=True).values
    )


def repeat(x, repeats, axis=None):
    repeats = torch.tensor(repeats) if isinstance(repeats, list) else repeats
    return torch.repeat_interleave(x, repeats, dim=axis)


MODES = {"edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def pad(x, pad_width, mode="constant", constant_values=0.0):
    widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].ravel().tolist()
    if mode == "constant":
        return F.pad(x, widths, value=constant_values)
    if mode == "symmetric":
        (top, bottom), (left, right) = pad_width
        x = torch.cat([x[:top].flip(0), x, x[x.shape[0] - bottom :].flip(0)], 0)
        return torch.cat([x[:, :left].flip(1), x, x[:, x.shape[1] - right :].flip(1)], 1)
    return F.pad(x[None, None], widths, mode=MODES[mode])[0, 0]


def triangle(function):
    """NumPy broadcasts a vector to a square matrix first."""
    return lambda x, k=0: function(x.expand(len(x), -1) if x.ndim == 1 else x, diagonal=k)


def weighted_mean(a, weights, axis=None, keepdims=False, returned=False):
    """PyTorch has no such function, but the quotient says the same."""
    if axis == (2, 0):  # weights in that order: to the order of the array's own axes
        weights = weights.T[:, None, :]
    total = (weights * torch.ones_like(a)).sum(axis, keepdim=keepdims)
    mean = (weights * a).sum(axis, keepdim=keepdims) / total
    return (mean, total) if returned else mean


def meshgrid(*xs, indexing="xy", sparse=False):
    grids = torch.meshgrid(*xs, indexing=indexing)
    if not sparse:
        return grids
    of = [1, 0, *range(2, len(xs))]  # which axis each one runs along
    return [
        grid[tuple(slice(None) if i == of[k] else slice(0, 1) for i in range(grid.ndim))]
        for k, grid in enumerate(grids)
    ]


def tensor_split(x, indices_or_sections, axis=0):
    return torch.tensor_split(x, indices_or_sections, axis)


def update(how, index):
    """`x[index] = v`, and `+=` for repeated places too, on a copy."""

    def function(x, v):
        positions = np.arange(math.prod(x.shape)).reshape(tuple(x.shape))[index]
        v = v.expand(positions.shape).ravel()
        positions = torch.from_numpy(np.ascontiguousarray(positions)).ravel()
        flat = x.ravel()
        if how == "add":
            return flat.index_add(0, positions, v).reshape(x.shape)
        order = {int(p): i for i, p in enumerate(positions)}  # the later one stays
        places = torch.tensor(list(order), dtype=torch.long)
        chosen = torch.tensor(list(order.values()), dtype=torch.long)
        return flat.index_put((places,), v[chosen]).reshape(x.shape)

    return function


def select(x, y, z):
    return torch.where(torch.tensor([True, False]), x, torch.where(torch.tensor(False), y, z))


def channels_first(weight, x):
    """A weight for each channel, in a shape that broadcasts."""
    return weight if weight.numel() == 1 else weight.reshape(-1, *(1 for _ in x.shape[2:]))


# The same name, and the same arguments.
NAMESAKES = (
    "add subtract multiply divide remainder square reciprocal negative positive "
    "exp exp2 expm1 log log2 log10 log1p sqrt logaddexp hypot "
    "sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh sinc "
    "deg2rad rad2deg copysign fmod float_power logaddexp2 fix "
    "asin acos atan atan2 asinh acosh atanh pow true_divide "
    "absolute abs maximum minimum fmax fmin sign floor ceil trunc round nan_to_num "
    "sigmoid erf erfc "
    "sum mean nansum nanmean ravel flatten moveaxis squeeze "
    "atleast_1d atleast_2d atleast_3d fliplr flipud"
)

PYTORCH = {
    **{name: getattr(torch, name) for name in NAMESAKES.split()},
    # elementwise
    "power": torch.pow,
    "mod": torch.remainder,
    "floor_divide": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "rint": torch.round,
    "clip": clamp,
    "where": lambda x, y: torch.where(torch.tensor([True, False, True]), x, y),
    "select": select,
    "copy": torch.clone,
    "stop_gradient": torch.detach,
    "fabs": torch.abs,
    "radians": torch.deg2rad,
    "degrees": torch.rad2deg,
    "divmod": lambda x, y: (torch.div(x, y, rounding_mode="floor"), torch.remainder(x, y)),
    "modf": lambda x: (torch.frac(x), torch.trunc(x)),
    "ldexp": lambda x, y: torch.ldexp(x, torch.as_tensor(y, dtype=x.dtype)),
    "astype": lambda x: x.to(torch.float64, copy=True),
    # activations
    **{name: getattr(F, name) for name in ("relu", "relu6", "selu", "hardtanh", "silu", "mish")},
    "logsigmoid": F.logsigmoid,
    "softplus": lambda x: F.softplus(x, threshold=1000),  # beyond it PyTorch has x itself
    "leaky_relu": lambda x, y: torch.where(x > 0, x, x * y),  # theirs takes no learnt slope
    "elu": lambda x, y: torch.where(x > 0, x, y * torch.expm1(x.clamp(max=0))),
    "gelu": F.gelu,
    **{name: getattr(F, name) for name in ("hardswish", "softsign", "tanhshrink")},
    **{name: getattr(F, name) for name in ("softshrink", "hardshrink", "threshold")},
    "hardsigmoid": lambda x: F.relu6(x + 3) / 6,  # theirs has the slope 1/6 of float32
    "celu": lambda x, y=1.0: torch.where(x > 0, x, y * torch.expm1(x.clamp(max=0) / y)),
    "prelu": lambda x, y: torch.where(x > 0, x, x * channels_first(y, x)),
    "glu": lambda x, axis=-1: F.glu(x, axis),
    # reductions
    "prod": over_rows(lambda x: x.prod(-1)),
    "max": torch.amax,
    "min": torch.amin,
    "ptp": lambda x, **settings: torch.amax(x, **settings) - torch.amin(x, **settings),
    "var": lambda x, ddof=0, **settings: torch.var(x, correction=ddof, **settings),
    "std": lambda x, correction=0, **settings: torch.std(x, correction=correction, **settings),
    "median": over_rows(lambda x: torch.quantile(x, 0.5, dim=-1)),  # theirs is the lower middle
    "average": weighted_mean,
    "cumsum": cumulate(torch.cumsum),
    "cumprod": cumulate(torch.cumprod),
    "cumulative_sum": behind_initial(torch.cumsum, torch.zeros),
    "cumulative_prod": behind_initial(torch.cumprod, torch.ones),
    # where there are no NaNs
    "nanprod": over_rows(lambda x: x.prod(-1)),
    "nanmax": torch.amax,
    "nanmin": torch.amin,
    "nancumsum": cumulate(torch.cumsum),
    "nancumprod": cumulate(torch.cumprod),
    # shapes
    "reshape": lambda x, shape: x.reshape(shape),
    "transpose": lambda x, axes=None: x.permute(axes or tuple(reversed(range(x.ndim)))),
    "swapaxes": lambda x, axis1, axis2: torch.swapaxes(x, axis1, axis2),
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "expand_dims": lambda x, axis: (
        x.unsqueeze(axis) if isinstance(axis, int) else x.unsqueeze(axis[0]).unsqueeze(axis[1])
    ),
    "concatenate": lambda *x, axis: (
        torch.cat([each.ravel() for each in x]) if axis is None else torch.cat(x, axis)
    ),
    "concat": lambda *x, axis: torch.concat(x, axis),
    "permute_dims": lambda x, axes: torch.permute(x, axes),
    "stack": lambda *x, axis: torch.stack(x, axis),
    "vstack": lambda *x: torch.vstack(x),
    "hstack": lambda *x: torch.hstack(x),
    "dstack": lambda *x: torch.dstack(x),
    "column_stack": lambda *x: torch.column_stack(x),
    "split": tensor_split,
    "array_split": tensor_split,
    "hsplit": lambda x, indices_or_sections: torch.hsplit(x, indices_or_sections),
    "vsplit": lambda x, indices_or_sections: torch.vsplit(x, indices_or_sections),
    "dsplit": lambda x, indices_or_sections: torch.dsplit(x, indices_or_sections),
    "unstack": lambda x, axis=0: torch.unbind(x, axis),
    "append": lambda x, y, axis=None: (
        torch.cat([x.ravel(), y.ravel()]) if axis is None else torch.cat([x, y], axis)
    ),
    "broadcast_arrays": lambda *x: torch.broadcast_tensors(*x),
    "meshgrid": meshgrid,
    "full_like": lambda value: value.expand(2, 3),
    # indexing
    "getitem": at_index,
    **{
        f"at.{how} {i}": update(how, index)
        for how in ("set", "add")
        for i, (_, index) in enumerate(indexing_rows.UPDATES)
    },
    "take": take,
    "take_along_axis": take_along,
    "compress": compress,
    "extract": lambda x, condition: x[torch.as_tensor(condition, dtype=torch.bool)],
    "diff": lambda x, n=1, axis=-1: torch.diff(x, n, axis),
    "sort": sort,
    "embedding": lambda weight, indices: F.embedding(torch.as_tensor(indices), weight),
    # rearrangements
    "flip": lambda x, axis=None: torch.flip(
        x, tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    ),
    "roll": lambda x, shift, axis=None: torch.roll(x, shift, axis),
    "rot90": lambda x, k, axes: torch.rot90(x, k, axes),
    "repeat": repeat,
    "tile": lambda x, reps: torch.tile(x, reps if isinstance(reps, tuple) else (reps,)),
    "pad": pad,
    "diag": lambda x, k: torch.diag(x, k),
    "diagflat": lambda x, k: torch.diagflat(x, k),
    "diagonal": lambda x, offset=0, axis1=0, axis2=1: torch.diagonal(x, offset, axis1, axis2),
    "trace": lambda x, offset=0, axis1=0, axis2=1: (
        torch.trace(x) if x.ndim == 2 else torch.diagonal(x, offset, axis1, axis2).sum(-1)
    ),
    "tril": triangle(torch.tril),
    "triu": triangle(torch.triu),
}

# Names without a row above, and why. Those that return plain arrays have a test of their own.
NO_SUCH = "PyTorch has no such function"
EXCEPTIONS = {
    **dict.fromkeys(("cbrt", "rollaxis", "block", "resize", "insert", "delete"), NO_SUCH),
    "sliding_window_view": NO_SUCH,
    **dict.fromkeys(("apply_along_axis", "apply_over_axes", "choose", "piecewise"), NO_SUCH),
    "ediff1d": NO_SUCH,
    **dict.fromkeys(("heaviside", "bincount"), "PyTorch's has no derivative"),
    **dict.fromkeys(("nanargmax", "nanargmin"), "no gradient"),
    "rrelu": "its slopes are random",
    "partition": "PyTorch has no such function; see the test against torch.kthvalue",
    **dict.fromkeys(("argmax", "argmin", "any", "all", "count_nonzero"), "no gradient"),
    **dict.fromkeys(("one_hot", "zeros_like", "ones_like"), "no gradient"),
}


def test_every_public_name_has_a_row_or_a_reason():
    public = {name for family in FAMILIES for name in family.__all__}
    assert public - set(PYTORCH) == set(EXCEPTIONS)
    assert set(PYTORCH) - public == {name for name in ROWS if name.startswith("at.")}
    assert set(PYTORCH) <= set(ROWS)


# ---------------------------------------------------------------------------- the comparison


def as_list(result):
    return list(result) if isinstance(result, (list, tuple)) else [result]


def assert_close(ours, theirs):
    """To some units in the last place of the largest, as both may cancel. Theirs may be NaN."""
    assert ours.shape == theirs.shape
    largest = np.max(np.abs(theirs), where=np.isfinite(theirs), initial=1.0)
    ours = np.where(np.isnan(theirs), theirs, ours)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-14 * largest)


LAYOUTS = {
    "plain": np.copy,
    "transposed": lambda array: array.T.copy().T,
    "strided": lambda array: np.repeat(array[..., None], 2, axis=-1)[..., 0],
    "backward": lambda array: np.flip(np.flip(array).copy()),
}


def numbers(tensor, like):
    return np.zeros(like.shape) if tensor is None else tensor.detach().numpy()


def assert_agree(ours, theirs, arrays):
    """Values of two functions, and gradients from the same random gradient."""
    generator = np.random.default_rng(len(arrays))
    torchs = [torch.tensor(array, requires_grad=True) for array in arrays]
    outs = as_list(theirs(*torchs))
    weights = [np.asarray(generator.normal(size=out.shape)) for out in outs]
    expected = [np.zeros(array.shape) for array in arrays]
    for out, g in zip(outs, weights, strict=True):
        # Not of a weighted sum, which an infinite result would make NaN.
        if out.requires_grad:
            g = torch.from_numpy(g)
            of_each = torch.autograd.grad(out, torchs, g, retain_graph=True, allow_unused=True)
            expected = [e + numbers(x, e) for e, x in zip(expected, of_each, strict=True)]
    for layout in LAYOUTS.values():
        tensors = [mg.as_tensor(layout(array)).requires_grad_() for array in arrays]
        results = as_list(ours(*tensors))
        for result, out in zip(results, outs, strict=True):
            assert_close(result.data, numbers(out, result))
        arrived = dict(
            mg.engine.sweep(
                {out: g for out, g in zip(results, weights, strict=True) if out.requires_grad}
            )
        )
        for tensor, gradient in zip(tensors, expected, strict=True):
            assert_close(arrived.get(tensor, np.zeros(tensor.shape)), gradient)


EVERY_CALL = [
    pytest.param(row.function, PYTORCH[key], arrays, settings, id=f"{name}-{i}")
    for name, row in ROWS.items()
    if (key := name.removesuffix(" of zeros")) in PYTORCH
    for i, (arrays, settings) in enumerate(row.samples(name))
]


@pytest.mark.parametrize(("ours", "theirs", "arrays", "settings"), EVERY_CALL)
def test_values_and_gradients_are_pytorchs(ours, theirs, arrays, settings):
    assert_agree(lambda *x: ours(*x, **settings), lambda *x: theirs(*x, **settings), arrays)


# ---------------------------------------------------------------------------- special values

INF = math.inf
KINKED = [-INF, -1e3, -7.0, -6.0, -1.0, -1e-9, -0.0, 0.0, 1e-9, 1.0, 6.0, 7.0, 1e3, INF]
ZEROS = [[[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [4.0, -1.0, 0.0], [0.0, 0.0, 0.0]]]
TIED = [[[2.0, 1.0, 2.0], [3.0, 3.0, 3.0], [-1.0, 0.0, 0.0]]]

BASES = [0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0, -2.0, -2.0, -2.0, 1.0, INF, 0.5]
EXPONENTS = [0.0, 1.0, 2.0, 0.5, 3.0, 0.0, -1.0, 0.0, 1.0, 3.0, 0.0, 2.0, -2.0]

PAIRS = list(itertools.product([-INF, -800.0, -1.0, 0.0, 1.0, 800.0, INF], repeat=2))
LEFT, RIGHT = zip(*PAIRS, strict=True)


def namesakes(module, names, *inputs):
    """Rows of functions that have the same name in PyTorch's `module`."""
    return {name: (getattr(mg, name), getattr(module, name), inputs) for name in names.split()}


SPECIAL = {
    # kinks, overflow, infinities
    **namesakes(F, "relu relu6 selu silu mish gelu hardtanh elu logsigmoid leaky_relu", KINKED),
    "leaky_relu of slope 0": (
        lambda x: mg.leaky_relu(x, 0.0),
        lambda x: F.leaky_relu(x, 0.0),
        [KINKED],
    ),
    "elu of alpha": (lambda x: mg.elu(x, 0.3), lambda x: F.elu(x, 0.3), [KINKED]),
    "hardtanh of bounds": (
        lambda x: mg.hardtanh(x, -6.0, 7.0),
        lambda x: F.hardtanh(x, -6.0, 7.0),
        [KINKED],
    ),
    "gelu by tanh": (
        lambda x: mg.gelu(x, approximate="tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
        [KINKED],
    ),
    "softplus": (mg.softplus, PYTORCH["softplus"], [KINKED[:-2]]),
    **namesakes(torch, "abs sign sigmoid tanh exp expm1 erf erfc arctan arcsinh", KINKED),
    **namesakes(torch, "floor ceil trunc square reciprocal nan_to_num", KINKED),
    "sinc": (mg.sinc, torch.sinc, [[-2.0, -1.0, -0.5, -0.0, 0.0, 1.0, 7.0]]),
    **namesakes(torch, "sqrt log log2 log10 log1p", [0.0, 1e-300, 1.0, 1e300, INF]),
    **namesakes(torch, "arcsin arccos arctanh", [-1.0, -1 + 1e-15, 0.0, 1 - 1e-15, 1.0]),
    "arccosh": (mg.arccosh, torch.arccosh, [[1.0, 1 + 1e-15, 2.0, 1e300]]),
    "rint": (mg.rint, torch.round, [[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]]),
    "clip at its bounds": (
        lambda x: mg.clip(x, -1.0, 6.0),
        lambda x: x.clamp(-1.0, 6.0),
        [KINKED],
    ),
    "clip by arrays": (mg.clip, torch.clamp, [[-1.0, 0.0, 5.0], [-2.0, 0.5, 1.0], [2.0, 3.0, 4.0]]),
    "remainder": (
        mg.remainder,
        torch.remainder,
        [[7.0, -7.0, 7.0, -7.0, 0.0], [3.0, 3.0, -3.0, -3.0, 3.0]],
    ),
    # both ways of two
    "power": (mg.power, torch.pow, [BASES, EXPONENTS]),
    "power of a number": (lambda x: x**3, lambda x: x**3, [[0.0, -2.0, 3.0]]),
    "power to the 0": (lambda x: x**0, lambda x: x**0, [[0.0, -2.0, 3.0]]),
    "number to a power": (lambda y: 2.0**y, lambda y: 2.0**y, [[0.0, -2.0, 3.0]]),
    "0 to a power": (lambda y: 0.0**y, lambda y: 0.0**y, [[0.0, 0.5, 3.0]]),
    **namesakes(torch, "logaddexp hypot maximum minimum add subtract multiply divide", LEFT, RIGHT),
    "arctan2": (
        mg.arctan2,
        torch.arctan2,
        [[0.0, 0.0, 1.0, -1.0, INF], [1.0, -1.0, 0.0, 0.0, 2.0]],
    ),
    # zeros and ties of reductions
    "prod": (lambda x: mg.prod(x, axis=1), lambda x: x.prod(1), ZEROS),
    "prod of all": (mg.prod, torch.prod, [[2.0, 0.0, 3.0]]),
    "prod of two zeros": (mg.prod, torch.prod, [[2.0, 0.0, 0.0]]),
    "cumprod": (lambda x: mg.cumprod(x, axis=1), lambda x: x.cumprod(1), ZEROS),
    "max": (lambda x: mg.max(x, axis=1), lambda x: x.amax(1), TIED),
    "min": (lambda x: mg.min(x, axis=0), lambda x: x.amin(0), TIED),
    "max of all": (mg.max, torch.amax, TIED),
    "sort": (lambda x: mg.sort(x, stable=True), lambda x: x.sort(stable=True).values, TIED),
    "std of equal numbers": (
        lambda x: mg.std(x, axis=1),
        lambda x: x.std(1, correction=0),
        TIED,
    ),
    **{
        f"{name} with correction {c}": (
            lambda x, c=c, name=name: getattr(mg, name)(x, axis=-1, ddof=c),
            lambda x, c=c, name=name: getattr(torch, name)(x, dim=-1, correction=c),
            [[[1.0, 2.0, 4.0], [0.5, -3.0, 1e3]]],
        )
        for name, c in itertools.product(("var", "std"), (0, 1, 1.5, 2))
    },
    **namesakes(torch, "nansum nanmean", [1.0, math.nan, 3.0]),
    "nan_to_num of NaN": (mg.nan_to_num, torch.nan_to_num, [[1.0, math.nan, -INF]]),
    "nanmean of rows": (
        lambda x: mg.nanmean(x, axis=0),
        lambda x: x.nanmean(0),
        [[[1.0, math.nan], [3.0, 4.0]]],
    ),
    "fmax and fmin of NaN": (
        lambda x, y: mg.fmax(x, y) * mg.fmin(y, x),
        lambda x, y: torch.fmax(x, y) * torch.fmin(y, x),
        [[1.0, math.nan, 3.0], [math.nan, 2.0, 1.0]],
    ),
    # choices and indices
    "where of an infinity": (
        lambda x, y: mg.where(np.array([True, False]), x, y),
        lambda x, y: torch.where(torch.tensor([True, False]), x, y),
        [[1.0, INF], [INF, 2.0]],
    ),
    "take with repeats": (
        lambda x: mg.take(x, [0, 2, 2, 0, -1]),
        lambda x: x[[0, 2, 2, 0, -1]],
        [[1.0, 2.0, 3.0]],
    ),
    "rows with repeats": (
        lambda x: x[[1, 1, 0], [0, 0, 2]],
        lambda x: x[[1, 1, 0], [0, 0, 2]],
        [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]],
    ),
    "take_along_axis with repeats": (
        lambda x: mg.take_along_axis(x, np.array([[0, 0, 2], [1, 1, 1]]), axis=1),
        lambda x: x.gather(1, torch.tensor([[0, 0, 2], [1, 1, 1]])),
        [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]],
    ),
    **{
        f"embedding with padding {padding}": (
            lambda w, p=padding: mg.embedding(np.array([[0, 2, 2], [1, 0, 2]]), w, padding_idx=p),
            lambda w, p=padding: F.embedding(torch.tensor([[0, 2, 2], [1, 0, 2]]), w, p),
            [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]],
        )
        for padding in (None, 0, 2, -1)
    },
}


@pytest.mark.parametrize(("ours", "theirs", "inputs"), SPECIAL.values(), ids=SPECIAL)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy warns of infinities, PyTorch does not
def test_special_values_are_pytorchs(ours, theirs, inputs):
    assert_agree(ours, theirs, [np.array(values) for values in inputs])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin", "any", "all", "count_nonzero"])
def test_answers_without_a_gradient_are_pytorchs(name, axis):
    values = np.array([[3.0, 0.0, 1.0], [-2.0, 5.0, 0.0]])
    expected = getattr(torch, name)(torch.tensor(values), dim=axis).numpy()
    np.testing.assert_array_equal(getattr(mg, name)(values, axis), expected)


@pytest.mark.parametrize("labels", [[2, 0, 1, 2], [[0], [3]], 1])
def test_one_hot_values_are_pytorchs(labels):
    for classes in (None, 5):
        expected = F.one_hot(torch.tensor(labels), -1 if classes is None else classes)
        np.testing.assert_array_equal(mg.one_hot(labels, classes), expected.numpy())


def test_constants_like_others_are_pytorchs():
    x = np.zeros((2, 3), np.float32)
    for name in ("zeros_like", "ones_like"):
        ours, theirs = getattr(mg, name)(x), getattr(torch, name)(torch.tensor(x)).numpy()
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("k", range(4))
def test_partition_puts_at_k_what_kthvalue_finds(k):
    x = np.array([[3.0, 1.0, 4.0, 1.5], [9.0, 2.0, 6.0, 5.0]])
    assert_agree(
        lambda x: mg.partition(x, k)[:, k], lambda x: torch.kthvalue(x, k + 1, dim=1).values, [x]
    )


# ---------------------------------------------------------------------------- second order

MATRIX = [[0.3, -1.2, 0.8], [1.7, 0.4, -0.6]]
WITH_ZERO = [[0.0, 1.5, -0.5], [2.0, 0.7, 1.1]]
SECOND = {
    "tanh": (np.tanh, torch.tanh, [MATRIX]),
    "sigmoid": (mg.sigmoid, torch.sigmoid, [MATRIX]),
    "gelu": (mg.gelu, F.gelu, [MATRIX]),
    "silu": (mg.silu, F.silu, [MATRIX]),
    "mish": (mg.mish, F.mish, [MATRIX]),
    "softplus": (mg.softplus, PYTORCH["softplus"], [MATRIX]),
    "erf": (mg.erf, torch.erf, [MATRIX]),
    "divide": (np.divide, torch.divide, [MATRIX, [1.5, -2.0, 0.7]]),
    "power": (np.power, torch.pow, [[0.0, 0.5, 2.0], [3.0, 1.5, -1.0]]),
    "logaddexp": (np.logaddexp, torch.logaddexp, [MATRIX, [1.5, -2.0, 0.7]]),
    "arctan2": (np.arctan2, torch.arctan2, [MATRIX, [1.5, -2.0, 0.7]]),
    "prod with a zero": (lambda x: np.prod(x, axis=1), lambda x: x.prod(1), [WITH_ZERO]),
    "cumprod with a zero": (lambda x: np.cumprod(x, axis=1), lambda x: x.cumprod(1), [WITH_ZERO]),
    "var": (lambda x: np.var(x, axis=0), lambda x: x.var(0, correction=0), [MATRIX]),
    "std": (lambda x: np.std(x, axis=1, ddof=1), lambda x: x.std(1), [MATRIX]),
    "max": (lambda x: np.max(x, axis=1) ** 2, lambda x: x.amax(1) ** 2, [MATRIX]),
    "take": (lambda x: x[:, [0, 0, 2]] ** 3, lambda x: x[:, [0, 0, 2]] ** 3, [MATRIX]),
    "sort": (lambda x: np.sort(x) ** 3, lambda x: x.sort().values ** 3, [MATRIX]),
    "pad": (lambda x: np.pad(x, 1) ** 3, lambda x: F.pad(x, (1, 1, 1, 1)) ** 3, [MATRIX]),
    "matmul": (lambda x: np.tanh(x @ x.T), lambda x: torch.tanh(x @ x.T), [MATRIX]),
}


@pytest.mark.parametrize(("ours", "theirs", "inputs"), SECOND.values(), ids=SECOND)
def test_second_derivatives_are_pytorchs(ours, theirs, inputs):
    generator = np.random.default_rng(0)
    arrays = [np.array(values) for values in inputs]
    tensors = [mg.Tensor(array, requires_grad=True) for array in arrays]
    torchs = [torch.tensor(array, requires_grad=True) for array in arrays]
    mine, other = ours(*tensors), theirs(*torchs)
    g = np.asarray(generator.normal(size=mine.shape))
    directions = [np.asarray(generator.normal(size=array.shape)) for array in arrays]
    first = mg.autograd.grad(mine, tensors, g, create_graph=True)
    second = mg.autograd.grad(first, tensors, directions)
    expected = torch.autograd.grad(other, torchs, torch.tensor(g), create_graph=True)
    for a, b in zip(first, expected, strict=True):
        assert_close(a.data, b.detach().numpy())
    vs = [torch.tensor(v) for v in directions]
    for a, b in zip(second, torch.autograd.grad(expected, torchs, vs), strict=True):
        assert_close(a, b.numpy())
