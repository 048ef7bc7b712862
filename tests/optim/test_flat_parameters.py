"""Parameters that are updated together become, to the bit, what they become one by one."""

import copy
import pickle

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, optim
from microgradx.optim.flat_parameters import MAX_SIZE, flatten

SHAPES = [(3, 4), (4,), (), (MAX_SIZE + 1,), (0, 2), (2, 1)]
KINDS = [
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {"weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "maximize": True}),
    ("AdamW", {}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True, "momentum": 0.9}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    ("Lion", {"weight_decay": 0.1}),
]
every_kind = pytest.mark.parametrize(("kind", "settings"), KINDS)


def make_parameters(dtypes, seed=0):
    generator = np.random.default_rng(seed)
    return [
        Tensor(generator.normal(size=shape).astype(dtype), requires_grad=True)
        for dtype in dtypes
        for shape in SHAPES
    ]


def one_by_one(kind):
    """The same optimiser, but its class says that it is not elementwise."""

    class OneByOne(getattr(optim, kind)):
        elementwise = False

    return OneByOne


def set_gradients(parameters, generator, missing=0.0):
    for p in parameters:
        g = generator.normal(size=p.shape).astype(p.dtype)
        p.grad = None if generator.random() < missing else g


def assert_same(ours, theirs):
    for p, q in zip(ours, theirs, strict=True):
        assert p.data.dtype == q.data.dtype
        assert p.data.tobytes() == q.data.tobytes()


def assert_same_state(optimizer, other):
    for state, expected in zip(optimizer.state, other.state, strict=True):
        assert state.keys() == expected.keys()
        for name in state:
            np.testing.assert_array_equal(state[name], expected[name], strict=True)


# ---------------------------------------------------------------------------- the flat array


def test_small_make_parameters_a_dtype_become_views_of_one_array():
    parameters = make_parameters([np.float32, np.float64])
    values = [p.data.copy() for p in parameters]
    optimizer = optim.SGD(parameters, 0.1)
    assert [flat.values.dtype for flat in optimizer.flat_parameters] == [
        np.float32,
        np.float64,
    ]
    for flat in optimizer.flat_parameters:
        assert len(flat.positions) == len(SHAPES) - 2
        start = 0
        for position in flat.positions:
            array = parameters[position].data
            stop = start + array.size
            assert np.shares_memory(array, flat.values[start:stop])
            start = stop
        assert start == flat.values.size
    for p, value in zip(parameters, values, strict=True):
        assert p.data.flags.writeable
        assert p.data.tobytes() == value.tobytes()
        assert (p.data.base is None) == (p.size > MAX_SIZE or p.size == 0)


def test_many_parameters_are_one_update_and_state_is_views():
    parameters = make_parameters([np.float32])
    sizes = []

    class Counting(optim.Adam):
        elementwise = True

        def update(self, w, g, state):
            sizes.append(w.size)
            super().update(w, g, state)

    optimizer = Counting(parameters)
    for _ in range(2):
        set_gradients(parameters, np.random.default_rng(0))
        optimizer.step()
    assert sizes == [12 + 4 + 1 + 2, MAX_SIZE + 1, 0] * 2
    (flat,) = optimizer.flat_parameters
    assert np.shares_memory(optimizer.state[0]["m"], flat.state["m"])
    assert [state["t"] for state in optimizer.state] == [2] * len(SHAPES)


def test_a_class_that_overrides_the_rule_must_say_again_that_it_is_elementwise():
    class ByNorm(optim.SGD):
        def update(self, w, g, state):
            w -= self.lr * g / np.linalg.norm(g)

    class ByNormOfAdam(optim.Adam):
        def descend(self, w, g, state):
            w -= self.lr * g / np.linalg.norm(g)

    class OnlyUpdate(optim.Optimizer):
        def update(self, w, g, state):
            w -= self.lr * g / np.linalg.norm(g)

    for kind in (ByNorm, ByNormOfAdam, OnlyUpdate):
        v, w = Tensor([0.0, 0.0], requires_grad=True), Tensor([0.0], requires_grad=True)
        v.grad, w.grad = np.array([3.0, 4.0]), np.array([5.0])
        kind([v, w], lr=1.0).step()
        np.testing.assert_allclose(v.data, [-0.6, -0.8])
        np.testing.assert_allclose(w.data, [-1.0])

    class Mixin:
        def update(self, w, g, state):
            super().update(w, g, state)

    class Mixed(Mixin, optim.SGD):
        pass

    assert not Mixed(make_parameters([np.float32]), 0.1).flat_parameters
    Mixed.elementwise = True
    assert Mixed(make_parameters([np.float32]), 0.1).flat_parameters


def test_a_class_that_leaves_the_rule_alone_inherits_that_it_is_elementwise():
    class Renamed(optim.SGD):
        pass

    class Logging(optim.Adam):
        def __init__(self, params):
            super().__init__(params, lr=0.1)
            self.taken = 0

        def step(self):
            super().step()
            self.log()

        def log(self):
            self.taken += 1

    class Slower(Logging):
        elementwise = False

    assert Renamed(make_parameters([np.float32]), 0.1).flat_parameters
    assert Logging(make_parameters([np.float32])).flat_parameters
    assert not Slower(make_parameters([np.float32])).flat_parameters


def test_state_that_an_update_replaces_is_the_state_of_each_parameter():
    class Momentum(optim.Optimizer):
        elementwise = True
        buffers = ("v",)

        def update(self, w, g, state):
            state["v"] = 0.9 * state.get("v", 0) + g
            w -= self.lr * state["v"]

    a, b = (Tensor(np.zeros(n), requires_grad=True) for n in (2, 3))
    optimizer = Momentum([a, b], lr=1.0)
    for _ in range(3):
        a.grad, b.grad = np.ones(2), np.ones(3)
        optimizer.step()
    assert optimizer.flat_parameters
    np.testing.assert_allclose(optimizer.state_dict()["state.1.v"], np.full(3, 2.71))
    np.testing.assert_allclose(b.data, -np.full(3, 1 + 1.9 + 2.71))


def test_an_array_that_others_hold_stays_where_it_is():
    held, a, b = (Tensor(np.ones(3), requires_grad=True) for _ in range(3))
    array, constant = held.data, a.detach()
    optimizer = optim.SGD([held, a, b, *make_parameters([np.float64])], 0.1)
    (flat,) = optimizer.flat_parameters
    assert flat.positions[0] == 2
    held.grad = a.grad = np.ones(3)
    optimizer.step()
    assert held.data is array
    np.testing.assert_array_equal(array, 0.9)
    np.testing.assert_array_equal(constant.data, 0.9)


def test_a_shared_or_foreign_or_constant_array_is_not_moved():
    whole = np.ones(5)
    view, frozen, single = (
        Tensor(np.ones(2), requires_grad=True),
        Tensor(np.ones(2), requires_grad=True),
        Tensor(np.ones(2), requires_grad=True),
    )
    view.array = whole[1:3]
    frozen.array.flags.writeable = False
    assert flatten(dict(enumerate([view, frozen, single])), {}) == []
    assert np.shares_memory(view.data, whole)
    a, b = (mg.as_tensor(np.frombuffer(bytearray(16))).requires_grad_() for _ in range(2))
    assert flatten({0: a, 1: b}, {}) == []


def test_another_optimiser_leaves_them_where_they_lie():
    parameters = make_parameters([np.float32])
    first = optim.SGD(parameters, 0.1)
    arrays = [p.data for p in parameters]
    second = optim.Adam(parameters)
    part = optim.SGD(parameters[1:3], 0.1)
    unordered = optim.SGD(parameters[2::-1], 0.1)
    assert all(p.data is array for p, array in zip(parameters, arrays, strict=True))
    assert np.shares_memory(second.flat_parameters[0].values, first.flat_parameters[0].values)
    assert len(second.flat_parameters[0].values) == len(first.flat_parameters[0].values)
    assert len(part.flat_parameters[0].values) == 5
    assert unordered.flat_parameters == []


# ---------------------------------------------------------------------------- the same numbers


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_between_the_steps(kind, settings, seed):
    """Random events, on parameters together and on others that are updated one by one."""
    generator = np.random.default_rng([seed, 7])
    dtypes = [np.float32, np.float64] if seed % 2 else [np.float32]
    ours, theirs = make_parameters(dtypes, seed), make_parameters(dtypes, seed)
    make, make_other = getattr(optim, kind), one_by_one(kind)
    optimizer, other = make(ours, lr=0.05, **settings), make_other(theirs, lr=0.05, **settings)
    assert optimizer.flat_parameters
    assert not other.flat_parameters
    second, other_second = optim.SGD(ours, 0.01), one_by_one("SGD")(theirs, 0.01)
    for _ in range(40):
        event = generator.integers(9)
        i = generator.integers(len(ours))
        if event == 0:
            value = generator.normal(size=ours[i].shape)
            for p in (ours[i], theirs[i]):
                p.data = value
        elif event == 1:  # which gives it another array
            for p in (ours[i], theirs[i]):
                p.requires_grad_(False).data = p.data + 1
                p.requires_grad_(True)
        elif event == 2:
            saved = other.state_dict()
            for o in (optimizer, other):
                o.load_state_dict(saved)
        elif event == 3:
            for o in (optimizer, other):
                o.state[i] = {}
        elif event == 4:
            for o in (optimizer, other):
                o.state[i].clear()
        elif event == 5:
            for o in (optimizer, other):
                for name in o.buffers:
                    if name in o.state[i]:
                        o.state[i][name] = np.asarray(o.state[i][name] * 2)
        elif event == 6:
            ours, optimizer = copy.deepcopy((ours, optimizer))
            theirs = copy.deepcopy(theirs)
            renewed = make_other(theirs, lr=0.05, **settings)
            renewed.load_state_dict(other.state_dict())
            other = renewed
            second, other_second = optim.SGD(ours, 0.01), one_by_one("SGD")(theirs, 0.01)
        elif event == 7:
            for o in (optimizer, other):
                o.state = [{} for _ in o.params]
        both = (second, other_second) if event == 8 else (optimizer, other)
        draws = np.random.default_rng(generator.integers(1000))
        set_gradients(ours, draws, missing=generator.choice([0.0, 0.0, 0.2]))
        for p, q in zip(ours, theirs, strict=True):
            q.grad = None if p.grad is None else p.grad.copy()
        for o in both:
            o.step()
        assert_same(ours, theirs)
        assert_same_state(optimizer, other)
        for p, q in zip(ours, theirs, strict=True):
            assert p.grad is None or p.grad.tobytes() == q.grad.tobytes()


@every_kind
def test_parameters_that_missed_a_step_keep_a_count_of_their_own(kind, settings):
    parameters = make_parameters([np.float32])
    optimizer = getattr(optim, kind)(parameters, lr=0.1, **settings)
    for missing in (None, 1, None):
        set_gradients(parameters, np.random.default_rng(0))
        if missing:
            parameters[missing].grad = None
        before = parameters[1].data.copy()
        optimizer.step()
        assert (missing == 1) == np.array_equal(parameters[1].data, before)
    if "t" in optimizer.counters:
        assert [state["t"] for state in optimizer.state] == [3, 2, 3, 3, 3, 3]


def test_a_graph_of_old_values_is_refused_and_one_of_new_values_is_not():
    parameters = make_parameters([np.float64])[:3]
    old = sum((p * p).sum() for p in parameters)
    old.backward()
    optim.SGD(parameters, 0.1).step()
    (parameters[0] * 2.0).sum().backward()
    with pytest.raises(ValueError, match="was changed after"):
        old.backward()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_flattened_again_and_leave_the_original_alone(copied):
    parameters = make_parameters([np.float32])
    optimizer = optim.Adam(parameters)
    set_gradients(parameters, np.random.default_rng(0))
    optimizer.step()
    before = [p.data.copy() for p in parameters]
    others, other = copied((parameters, optimizer))
    assert all(p is q for p, q in zip(other.params, others, strict=True))
    assert other.flat_parameters
    set_gradients(others, np.random.default_rng(1))
    other.step()
    assert all(np.array_equal(p.data, b) for p, b in zip(parameters, before, strict=True))
    set_gradients(parameters, np.random.default_rng(1))
    optimizer.step()
    assert_same(parameters, others)
    assert_same_state(optimizer, other)


def test_a_wrong_gradient_among_small_ones_is_refused_before_anything_changes():
    a, b, large = (Tensor(np.ones(n), requires_grad=True) for n in (2, 3, MAX_SIZE + 1))
    optimizer = optim.SGD([a, b, large], 0.1)
    a.grad, b.grad, large.grad = np.ones(2), np.ones(3), np.ones(1)
    with pytest.raises(ValueError, match=r"has a gradient of shape \(1,\)"):
        optimizer.step()
    large.grad, b.grad = np.ones(MAX_SIZE + 1), np.ones(1)
    with pytest.raises(ValueError, match=r"has a gradient of shape \(1,\)"):
        optimizer.step()
    assert all(np.all(p.data == 1) for p in (a, b, large))


# ---------------------------------------------------------------------------- tracing


class Symbol:
    """A number whose value is not known: it can be computed with, and nothing else."""

    def __init__(self, value):
        self.value = value

    def __float__(self):
        raise TypeError("a symbol has no value")

    __bool__ = __int__ = __index__ = __float__


def _arithmetic(name):
    def compute(self, other):
        if not isinstance(other, (int, float, Symbol)):
            return NotImplemented
        return Symbol(getattr(float(self.value), name)(float(getattr(other, "value", other))))

    return compute


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Symbol, f"__{_name}__", _arithmetic(f"__{_name}__"))
    setattr(Symbol, f"__r{_name}__", _arithmetic(f"__r{_name}__"))


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array behind NumPy's protocols, which takes symbols for numbers."""

    def __init__(self, array):
        self.array = array

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        assert method == "__call__"
        plain = [getattr(x, "array", getattr(x, "value", x)) for x in inputs]
        if out is not None:
            ufunc(*plain, out=tuple(x.array for x in out), **kwargs)
            return out[0]
        return Traced(ufunc(*plain, **kwargs))

    def __array_function__(self, function, types, args, kwargs):
        return Traced(function(*(getattr(x, "array", x) for x in args), **kwargs))


@every_kind
def test_updates_can_be_traced(kind, settings, generator):
    value, g = generator.normal(size=(2, 5)).astype(np.float32)
    w = Tensor(value, requires_grad=True)
    optimizer = getattr(optim, kind)([w], lr=0.1, **settings)
    (group,) = optimizer.param_groups
    traced = optimizer.with_settings({**group, "lr": Symbol(0.1)})
    ours, state = Traced(value.copy()), {}
    for t in range(3):
        w.grad = g + t
        optimizer.step()
        traced.update(ours, Traced(g + t), state)
        if t == 0 and "t" in state:
            state["t"] = Symbol(state["t"])
        np.testing.assert_array_equal(ours.array, w.data, strict=True)
