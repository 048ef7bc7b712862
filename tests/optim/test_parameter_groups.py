"""Groups of parameters: settings of their own, written and read; what is refused."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, nn, optim
from microgradx.optim.flat_parameters import MAX_SIZE
from tests.optim.test_optimizers import CASES, gradients

SHAPES = [(3, 2), (2,), (), (MAX_SIZE + 1,), (4,)]
LATE = 2  # the parameter whose gradient is missing in some steps


def make_parameters(dtype=np.float64):
    generator = np.random.default_rng(2)
    return [
        Tensor(generator.normal(size=shape).astype(dtype), requires_grad=True, name=f"p{k}")
        for k, shape in enumerate(SHAPES)
    ]


def set_gradients(step, parameters):
    for p, g in zip(parameters, gradients(step, [p.data for p in parameters]), strict=True):
        p.grad = None if g is None else np.asarray(g, p.dtype)


# ---------------------------------------------------------------------------- what they compute


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in CASES}))
def test_groups_are_updated_as_by_an_optimiser_each(kind):
    """To the bit, also where a learning rate is changed, or a gradient is missing."""
    make = getattr(optim, kind)
    first, second = [settings for case, settings in CASES if case == kind][-2:]
    ours, theirs = make_parameters(np.float32), make_parameters(np.float32)
    together = make(
        [
            {"params": ours[:2], "lr": 0.05, **first},
            {"params": iter(ours[2:]), **second},
        ],
        lr=0.02,
    )
    apart = make(theirs[:2], lr=0.05, **first), make(theirs[2:], lr=0.02, **second)
    assert len(together.flat_parameters) == 2
    for step in range(8):
        if step == 4:
            together.param_groups[0]["lr"] = 0.01
            apart[0].lr = 0.01
        set_gradients(step, ours)
        set_gradients(step, theirs)
        together.step()
        for each in apart:
            each.step()
        for p, q in zip(ours, theirs, strict=True):
            assert p.data.tobytes() == q.data.tobytes()


GRID = {
    "SGD": {
        "momentum": (0.0, 0.9),
        "dampening": (0.0, 0.3),
        "weight_decay": (0.0, 0.1),
        "nesterov": (False, True),
        "maximize": (False, True),
    },
    "Adam": {
        "betas": ((0.9, 0.999), (0.0, 0.5)),
        "eps": (1e-8, 0.1),
        "weight_decay": (0.0, 0.1),
        "amsgrad": (False, True),
        "maximize": (False, True),
    },
    "RMSprop": {
        "alpha": (0.99, 0.5),
        "weight_decay": (0.0, 0.1),
        "momentum": (0.0, 0.8),
        "centered": (False, True),
        "maximize": (False, True),
    },
    "Adagrad": {
        "lr_decay": (0.0, 0.1),
        "weight_decay": (0.0, 0.1),
        "initial_accumulator_value": (0.0, 0.5),
        "eps": (1e-10, 0.1),
        "maximize": (False, True),
    },
}
GRID["AdamW"] = GRID["Adam"]


def combinations(kind):
    for values in itertools.product(*GRID[kind].values()):
        settings = dict(zip(GRID[kind], values, strict=True))
        if not settings.get("nesterov") or (settings["momentum"] and not settings["dampening"]):
            yield settings


@pytest.mark.parity
@pytest.mark.parametrize("kind", GRID)
def test_all_combinations_of_settings_are_pytorchs(kind):
    """A group for each; with learning rates that change, and gradients that are missing."""
    torch = pytest.importorskip("torch")
    # PyTorch takes this one from the optimiser, not from the group.
    initial = "initial_accumulator_value"
    ours, theirs, optimizers = [], [], []
    generator = np.random.default_rng(4)
    for value in GRID[kind].get(initial, (None,)):
        settings = [s for s in combinations(kind) if s.get(initial) == value]
        parameters = [Tensor(generator.normal(size=6), requires_grad=True) for _ in settings]
        tensors = [torch.tensor(p.data, requires_grad=True) for p in parameters]
        shared = {} if value is None else {initial: value}
        for module, each in ((mg, parameters), (torch, tensors)):
            groups = [{"params": p, **s} for p, s in zip(each, settings, strict=True)]
            optimizers.append(getattr(module.optim, kind)(groups, lr=0.02, **shared))
        ours, theirs = ours + parameters, theirs + tensors
    for step in range(100):
        for k, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            g = None if (step + k) % 7 == 0 else np.sin(3 * p.data + k + step)
            p.grad, q.grad = g, None if g is None else torch.tensor(g)
        for optimizer in optimizers:
            if step % 10 == 5:
                for k, group in enumerate(optimizer.param_groups):
                    group["lr"] = 0.01 + 0.001 * ((k + step) % 5)
            optimizer.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_a_centered_mean_square_that_is_rounded_below_0_is_0():
    w = Tensor(np.zeros(50), requires_grad=True)
    optimizer = optim.RMSprop([w], lr=1e-9, alpha=0.5, centered=True)
    w.grad = np.linspace(0.1, 3.0, 50)
    for _ in range(200):
        optimizer.step()
        assert np.all(np.isfinite(w.data))


# ---------------------------------------------------------------------------- settings


def test_settings_of_a_group_and_defaults():
    a, b, c = make_parameters()[:3]
    optimizer = optim.SGD(
        [{"params": [a], "lr": 0.5, "momentum": 0.9}, {"params": b}], lr=np.float64(0.1)
    )
    assert [p.name for p in optimizer.params] == ["p0", "p1"]
    first, second = optimizer.param_groups
    assert first["params"] == [a]
    assert first["lr"] == 0.5
    assert second["lr"] == 0.1
    assert type(second["lr"]) is float
    assert second["momentum"] == optimizer.defaults["momentum"] == 0.0
    optimizer.add_param_group({"params": [("third", c)], "nesterov": True, "momentum": 0.5})
    assert optimizer.param_groups[2]["nesterov"] is True
    assert optimizer.param_groups[2]["lr"] == 0.1
    assert len(optimizer.state) == 3
    assert repr(optimizer).splitlines()[1] == (
        "  group 0: lr=0.5, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False, "
        "maximize=False"
    )


def test_settings_are_attributes_where_there_is_one_group_or_all_have_the_same():
    a, b = make_parameters()[:2]
    optimizer = optim.Adam([a], lr=0.1)
    optimizer.lr = np.float32(0.5)
    assert optimizer.param_groups[0]["lr"] == 0.5
    optimizer.param_groups[0]["betas"] = [0.5, np.float64(0.9)]
    assert optimizer.betas == (0.5, 0.9)
    assert all(type(beta) is float for beta in optimizer.betas)
    optimizer.param_groups[0].update(lr=0.25, eps=0.1)
    assert (optimizer.lr, optimizer.eps) == (0.25, 0.1)
    optimizer.add_param_group({"params": [b], "lr": 1.0})
    assert optimizer.weight_decay == 0.0
    with pytest.raises(ValueError, match=r"differ in lr, which is 0.25, 1.0; read optimizer.par"):
        optimizer.lr  # noqa: B018
    with pytest.raises(ValueError, match=r"there are 2 parameter groups; set lr of each: for gro"):
        optimizer.lr = 0.1
    with pytest.raises(AttributeError, match="'Adam' object has no attribute 'momentum'"):
        optimizer.momentum  # noqa: B018
    a.grad, b.grad = np.ones(a.shape), np.ones(b.shape)
    optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 1.0]
    with pytest.raises(ValueError, match="differ in lr"):  # what a step uses does not stay
        optimizer.lr  # noqa: B018


class Rolling(optim.Optimizer):
    """A user's optimiser that sets its settings as attributes, and has one of its class."""

    hyperparameters = ("lr", "share", "power")
    buffers = ("mean",)
    power = 2

    def __init__(self, params, lr=0.1, share=0.5):
        super().__init__(params, lr)
        self.share = share
        self.steps = 0

    def update(self, w, g, state):
        state["mean"] = self.share * state.get("mean", 0) + g
        w -= self.lr * state["mean"] ** (self.power - 1)
        self.steps += 1


def test_an_optimiser_of_the_users_own_has_groups_too():
    a, b = make_parameters()[:2]
    optimizer = Rolling([{"params": [a], "share": 0.25}, {"params": [b]}], share=0.75)
    assert [group["share"] for group in optimizer.param_groups] == [0.25, 0.75]
    before = a.data.copy(), b.data.copy()
    for _ in range(2):
        a.grad, b.grad = np.ones(a.shape), np.ones(b.shape)
        optimizer.step()
    np.testing.assert_allclose(a.data, before[0] - 0.1 * (1 + 1.25))
    np.testing.assert_allclose(b.data, before[1] - 0.1 * (1 + 1.75))
    assert optimizer.steps == 4
    assert optimizer.power == 2
    single = Rolling([a])
    single.power = 3
    single.share = 0.5
    assert single.param_groups[0]["power"] == 3
    other = Rolling([Tensor(np.zeros(a.shape), requires_grad=True, name="p0")])
    other.load_state_dict(single.state_dict())
    assert repr(other) == repr(single) == "Rolling(lr=0.1, share=0.5, power=3)"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_have_groups_of_their_own(copied):
    a, b = make_parameters()[:2]
    for groups in ([a, b], [{"params": a}, {"params": b, "lr": 1.0}]):
        optimizer = optim.SGD(groups, lr=0.5)
        other = copied(optimizer)
        other.param_groups[0]["lr"] = 0.25
        assert optimizer.param_groups[0]["lr"] == 0.5
        assert [p for group in other.param_groups for p in group["params"]] == other.params
        if len(other.param_groups) == 1:
            assert other.lr == 0.25
        set_gradients(1, other.params)
        before = other.params[0].data.copy()
        other.step()
        np.testing.assert_allclose(other.params[0].data, before - 0.25 * other.params[0].grad)


def test_dropped_optimisers_are_freed_at_once():
    import gc
    import weakref

    gc.disable()
    try:
        optimizer = optim.Adam(make_parameters())
        set_gradients(1, optimizer.params)
        optimizer.step()
        dropped = weakref.ref(optimizer)
        group = optimizer.param_groups[0]
        del optimizer
        assert dropped() is None
        group["lr"] = 0.5  # nobody is left to be told
    finally:
        gc.enable()


def test_frozen_parts_and_groups_of_none():
    net = nn.MLP(2, (3,), 2, generator=np.random.default_rng(0))
    weights = [p for p in net.parameters() if p.ndim == 2]
    optimizer = optim.SGD([{"params": weights}, {"params": [], "weight_decay": 0.1}], lr=0.1)
    assert optimizer.params == weights
    with pytest.raises(ValueError, match="no parameters to train; all groups are empty"):
        optim.SGD([{"params": []}], lr=0.1)


# ---------------------------------------------------------------------------- what is refused


def refusals(a, b):
    return [
        (lambda: [{"params": [a]}, {"params": [b, a]}], ValueError,
         r"parameter 1 of group 1, Tensor 'p0' .* was given before, at position 0 of group 0"),
        (lambda: [{"params": [a, a]}], ValueError, "parameter 1, .* at position 0; give it once"),
        (lambda: [{"params": [a], "momentun": 0.5}], ValueError,
         "SGD has no setting 'momentun'; its settings are lr, momentum, dampening, .* of group 0"),
        (lambda: [{"params": [a]}, {"params": [b], "lr": -1.0}], ValueError,
         "lr must be at least 0 and finite, not -1.0, in the settings of group 1"),
        (lambda: [{"params": [a]}, {"params": [b], "lr": "fast"}], TypeError,
         "lr must be a number, not 'fast', in the settings of group 1"),
        (lambda: [{"params": [a], "nesterov": True}], ValueError, "needs a momentum above 0"),
        (lambda: [{"params": [a]}, b], TypeError, "parameter group 1 is no dict with 'params'"),
        (lambda: [{"lr": 0.1}], TypeError, "parameter group 0 is no dict with 'params', but {'lr'"),
        (lambda: {"params": [a]}, TypeError, "a list of groups, not one dict; write .group."),
        (lambda: [{"params": [a]}, {"params": iter([])}], ValueError,
         "there are no parameters of group 1; a generator"),
        (lambda: [{"params": [a * 2]}], ValueError, "parameter 0, .* was computed by multiply"),
        (lambda: [{"params": 3}], ValueError, "there are no parameters"),
    ]  # fmt: skip


@pytest.mark.parametrize("k", range(len(refusals(None, None))))
def test_groups_that_cannot_be_are_refused(k):
    a, b = make_parameters()[:2]
    make, error, message = refusals(a, b)[k]
    with pytest.raises(error, match=message):
        optim.SGD(make(), lr=0.1)
    optimizer = optim.SGD([a], lr=0.1)
    groups = make()
    if isinstance(groups, list) and len(groups) == 2:
        with pytest.raises(error):
            optimizer.add_param_group(groups[1])
        assert len(optimizer.param_groups) == len(optimizer.params) == len(optimizer.state) == 1
        assert optimizer.lr == 0.1


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("lr", -0.1, ValueError, "lr must be at least 0"),
        ("lr", math.nan, ValueError, "lr must be at least 0"),
        ("lr", "fast", TypeError, "lr must be a number"),
        ("lr", Tensor(0.1), TypeError, "lr must be a number"),
        ("rate", 0.1, ValueError, "Adam has no setting 'rate'; its settings are lr, betas, eps"),
        ("betas", (0.9, 1.0), ValueError, r"betas\[1\] must be .* less than 1"),
        ("betas", 0.9, ValueError, "betas must be two numbers"),
        ("initial_lr", -1, ValueError, "initial_lr must be at least 0"),
        ("params", [], ValueError, "the parameters of a group stay the same; give new ones"),
    ],
)
def test_what_is_written_to_a_group_is_checked_at_once(name, value, error, message):
    optimizer = optim.Adam(make_parameters())
    (group,) = optimizer.param_groups
    before = dict(group)
    with pytest.raises(error, match=message):
        group[name] = value
    with pytest.raises(error, match=message):
        group.update({"eps": 0.5, name: value}) if name != "params" else group.update(params=[])
    group["eps"] = before["eps"]
    assert group == before


def test_no_way_of_writing_to_a_group_is_unchecked():
    optimizer = optim.SGD(make_parameters(), lr=0.1)
    (group,) = optimizer.param_groups
    before = dict(group)
    for write in (
        lambda: group.__ior__({"lr": -1.0}),
        lambda: group.setdefault("rate", 1.0),
        lambda: group.pop("lr"),
        lambda: group.clear(),
        lambda: group.popitem(),
        lambda: group.__delitem__("lr"),
    ):
        with pytest.raises(ValueError, match=r"must be at least 0|has no setting|cannot be left"):
            write()
        assert group == before
    group |= {"lr": 0.5}
    assert group.setdefault("lr", 1.0) == optimizer.lr == 0.5
