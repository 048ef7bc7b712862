"""States of optimisers: flat, loaded to the bit; what does not fit is refused."""

import io

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, nn, optim
from tests.optim.test_optimizers import every_case, gradients, trajectory

SHAPES = [(3, 4), (4,), (), (10_000,)]


def make_parameters(dtype=np.float32):
    generator = np.random.default_rng(2)
    names = ["hidden.weight", "hidden.bias", "", "hidden.bias"]
    return [
        Tensor(generator.normal(size=shape).astype(dtype), requires_grad=True, name=name)
        for shape, name in zip(SHAPES, names, strict=True)
    ]


def save_and_load(state):
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    return np.load(file)


def assert_same_bits(state, expected):
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert state[name].dtype == value.dtype, name
        assert state[name].tobytes() == value.tobytes(), name


@every_case
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_saved_state_goes_on_to_the_bit(kind, settings, dtype):
    """Of parameters in a flat array and others, in a group or two, one of them without a state."""
    make = getattr(optim, kind)

    def begin(**more):
        parameters = make_parameters(dtype)
        groups = [{"params": parameters[:3], "lr": 0.1}, {"params": parameters[3:]}]
        return parameters, make(groups if dtype == np.float32 else parameters, **more)

    parameters, optimizer = begin(lr=0.05, **settings)
    optimizer.param_groups[0]["lr"] = 0.07
    trajectory(optimizer, parameters, range(1, 3))
    optimizer.param_groups[-1]["lr"] = 0.01
    saved = save_and_load(optimizer.state_dict())
    others, resumed = begin(lr=123.0)
    for p, q in zip(others, parameters, strict=True):
        p.data = q.data
    resumed.load_state_dict(saved)
    assert repr(resumed) == repr(optimizer)
    assert_same_bits(resumed.state_dict(), dict(saved))
    path = trajectory(optimizer, parameters, range(3, 6))
    again = trajectory(resumed, others, range(3, 6))
    for values, expected in zip(again, path, strict=True):
        for value, other in zip(values, expected, strict=True):
            assert value.tobytes() == other.tobytes()
    assert_same_bits(resumed.state_dict(), optimizer.state_dict())


def test_the_entries_have_the_names_of_parameters():
    parameters = make_parameters()
    optimizer = optim.Adam([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=0.5)
    for p, g in zip(parameters, gradients(0, [p.data for p in parameters]), strict=True):
        p.grad = g
    optimizer.step()
    state = optimizer.state_dict()
    assert state["param_groups.0.lr"] == 0.5
    assert state["param_groups.1.betas"].tolist() == [0.9, 0.999]
    assert state["param_groups.1.params"].tolist() == ["hidden.bias", "2", "hidden.bias (3)"]
    assert state["state.hidden.weight.m"].shape == (3, 4)
    assert state["state.hidden.bias (3).v"].shape == (10_000,)
    assert state["state.hidden.bias.t"] == 1
    assert not [name for name in state if name.startswith("state.2.")]  # without gradient at first
    assert set(state["entries"].tolist()) == state.keys() - {"entries"}
    assert all(type(value) is np.ndarray for value in state.values())
    state["state.hidden.weight.m"][:] = 0  # which is a copy
    assert np.any(optimizer.state[0]["m"])


def states_of(kind, **settings):
    net = nn.MLP(3, (4,), 2, generator=np.random.default_rng(0))
    optimizer = getattr(optim, kind)(net.parameters(), **settings)
    for _ in range(2):
        optimizer.zero_grad()
        mg.sum(net(np.ones((2, 3), np.float32)) ** 2).backward()
        optimizer.step()
    return optimizer, optimizer.state_dict()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("SGD", {"momentum": 0.9}),
        ("Adam", {"amsgrad": True}),
        ("RMSprop", {"centered": True, "momentum": 0.5}),
        ("Adagrad", {}),
        ("Lion", {}),
    ],
)
def test_whatever_does_not_fit_is_refused_and_nothing_changed(kind, settings):
    optimizer, state = states_of(kind, lr=0.1, **settings)
    before = [id(each) for each in optimizer.state], repr(optimizer)

    def refused(changed, *messages):
        with pytest.raises(ValueError, match=f"does not fit this {kind}: ") as error:
            optimizer.load_state_dict(changed)
        for message in messages:
            assert message in str(error.value)
        assert ([id(each) for each in optimizer.state], repr(optimizer)) == before
        assert_same_bits(optimizer.state_dict(), state)

    for name in state:
        refused({k: v for k, v in state.items() if k != name}, f"{name} is missing")
        if name.startswith("state."):
            refused({**state, name: np.ones((7, 7))}, name)
            refused({**state, name: np.array("text")}, f"{name} ")
    refused({**state, "state.0.weight.u": np.ones(3)}, "state.0.weight.u is unexpected")
    refused({}, *(f"param_groups.0.{name} is missing" for name in optimizer.hyperparameters))
    for lr in (-1.0, np.nan, "fast"):
        refused({**state, "param_groups.0.lr": np.array(lr)}, "param_groups.0: lr must be")
    several = {**state, "param_groups.0.lr": np.array(-1.0), "extra": np.array(1)}
    (name, *_) = (name for name in state if name.startswith("state.") and state[name].ndim)
    several[name] = np.ones((7, 7))
    refused(several, "lr must be at least 0", f"{name} has shape (7, 7)", "extra is unexpected")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("state.0.weight.t", np.array(-1), "t must be a whole number from 0 up, not -1"),
        ("state.0.weight.t", np.array(1.5), "t must be a whole number from 0 up, not 1.5"),
        ("state.0.weight.t", np.array([1]), "t must be a whole number from 0 up"),
        ("state.0.weight.m", np.full((4, 3), 1e300), "m has numbers that are too large for float3"),
        ("state.0.weight.v", np.full((4, 3), 1j), "v a Tensor holds real numbers"),
        ("state.0.weight.v", np.full((4, 3), None), "v a Tensor holds real numbers"),
        ("param_groups.0.betas", np.array([0.9, 1.0]), r"betas\[1\] must be .* less than 1"),
        ("param_groups.0.params", np.array(["0.weight"]), "params are 0.weight and must be 0.weig"),
        ("entries", np.array(3), "entries is not a list of names"),
        ("entries", np.array([]), "param_groups.0.lr is unexpected"),
    ],
)
def test_entries_that_cannot_be_are_refused(name, value, message):
    optimizer, state = states_of("Adam")
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict({**state, name: value})
    assert_same_bits(optimizer.state_dict(), state)


def test_a_state_of_other_parameters_or_groups_is_refused():
    optimizer, state = states_of("Adam")
    parameters = optimizer.params
    with pytest.raises(ValueError, match=r"params are 0.weight, .* and must be 2.bias, 2.weight"):
        optim.Adam(parameters[::-1]).load_state_dict(state)
    with pytest.raises(ValueError, match=r"params are .*; state.2.weight.t is unexpected"):
        optim.Adam(parameters[:2]).load_state_dict(state)
    groups = [{"params": parameters[:2]}, {"params": parameters[2:]}]
    with pytest.raises(ValueError, match=r"param_groups.1.lr is missing"):
        optim.Adam(groups).load_state_dict(state)
    with pytest.raises(ValueError, match=r"param_groups.0.momentum is unexpected"):
        optimizer.load_state_dict(states_of("SGD")[1])
    for wrong in (None, 3, "optimizer.npz", [1]):
        with pytest.raises(
            TypeError, match=r"np.load\(path\) reads one that np.savez\(path, \*\*o"
        ):
            optimizer.load_state_dict(wrong)


def test_what_no_array_can_hold_is_refused_when_it_is_saved():
    class Listing(optim.Optimizer):
        def update(self, w, g, state):
            state["seen"] = [w, None]

    w = Tensor([1.0], requires_grad=True)
    optimizer = Listing([w], lr=0.1)
    w.grad = np.ones(1)
    optimizer.step()
    with pytest.raises(TypeError, match=r"state.0.seen is list, and a state holds"):
        optimizer.state_dict()
