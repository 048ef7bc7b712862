"""Modules: parameters are found, named, saved and loaded; training mode; repr."""

import copy
import pickle

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, nn


def parameter(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


class Block(nn.Module):
    """Has a parameter after a submodule, a constant, and submodules in lists, without super()."""

    def __init__(self):
        self.first = nn.Linear(2, 3)
        self.scale = parameter(3)
        self.offset = Tensor(np.zeros(3))
        self.others = [nn.Linear(3, 3), (nn.ReLU(), nn.Linear(3, 1))]
        self.by_name = {"gain": parameter(1)}

    def forward(self, x):
        x = self.first(x) * self.scale + self.offset
        for layer in (self.others[0], *self.others[1]):
            x = layer(x)
        return x * self.by_name["gain"]


NAMES = [
    "first.weight",
    "first.bias",
    "scale",
    "others.0.weight",
    "others.0.bias",
    "others.1.1.weight",
    "others.1.1.bias",
    "by_name.gain",
]

# ---------------------------------------------------------------------------- finding


def test_parameters_come_in_order_of_assignment_under_dotted_paths():
    block = Block()
    assert [name for name, _ in block.named_parameters()] == NAMES
    pairs = zip(block.parameters(), block.named_parameters(), strict=True)
    assert all(p is q for p, (_, q) in pairs)
    assert dict(block.named_parameters())["others.1.1.bias"] is block.others[1][1].bias


def test_modules_come_first_the_module_itself():
    block = Block()
    assert [name for name, _ in block.named_modules()] == [
        *("", "first", "others.0", "others.1.0", "others.1.1")
    ]
    assert next(block.modules()) is block


def test_what_is_shared_comes_once_and_cycles_end():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    tied = nn.Linear(2, 2)
    tied.weight = shared.weight
    net.tied = tied
    net.tied.parent = net
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "tied.bias"]
    assert len(list(net.modules())) == 4
    assert list(net.state_dict()) == ["0.weight", "0.bias", "tied.bias"]
    assert "(parent): …" in repr(net)
    assert net.tied.eval() is tied
    assert not net.training


def test_a_chain_of_many_modules_does_not_recurse():
    innermost = module = nn.Module()
    for _ in range(5000):
        outer = nn.Module()
        vars(outer)["inner"] = module  # past the naming, which looks all the way in each time
        module = outer
    innermost.weight = parameter(1)
    [(name, _)] = module.named_parameters()
    assert name == "inner." * 5000 + "weight"


def test_only_leaves_that_require_gradients_are_parameters():
    module = nn.Module()
    module.weight = parameter(2)
    module.frozen = Tensor([1.0])
    module.counts = Tensor([1, 2])
    module.computed = module.weight * 2
    module.array = np.ones(3)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    module.weight.requires_grad = False
    assert list(module.parameters()) == []
    assert list(module.state_dict()) == ["weight", "frozen", "counts"]


# ---------------------------------------------------------------------------- naming


def test_parameters_are_named_by_their_path_in_the_outermost_module():
    block = Block()
    assert [p.name for p in block.parameters()] == NAMES
    net = nn.Sequential(nn.Tanh(), block)
    assert [p.name for p in net.parameters()] == [f"1.{name}" for name in NAMES]
    assert block.offset.name is None


def test_a_name_of_its_own_is_kept():
    layer = nn.Linear(2, 2)
    layer.weight.name = "theta"
    net = nn.Sequential(nn.Sequential(layer))
    assert [p.name for p in net.parameters()] == ["theta", "0.0.bias"]


def test_the_name_of_a_shared_parameter_is_its_first_path():
    encoder, decoder = nn.Linear(2, 2), nn.Linear(2, 2)
    net = nn.Module()
    net.encoder, net.decoder = encoder, decoder
    net.decoder.weight = net.encoder.weight
    assert net.encoder.weight.name == "encoder.weight"


# ---------------------------------------------------------------------------- calling and modes


def test_a_call_runs_forward_and_leaves_the_mark_of_its_class():
    block = Block()
    out = block(np.ones((4, 2)))
    assert out.shape == (4, 1)
    assert [scope.name for scope in out.scopes] == ["Block"]
    logits = nn.MLP(2, (3,), 2)(np.ones((4, 2)))
    assert [scope.name for scope in logits.scopes] == ["Linear", "MLP"]
    inside = logits.inputs[0]
    assert [scope.name for scope in inside.scopes] == ["ReLU"]
    inner, outer = (scope.start for scope in logits.scopes)
    assert outer < inside.sequence_number < inner


def test_a_result_that_was_only_passed_through_is_not_marked():
    x = parameter(2) * 2
    assert nn.Dropout(0.5).eval()(x) is x
    assert x.scopes == ()


def test_keyword_arguments_reach_forward():
    class Scaled(nn.Module):
        def forward(self, x, *, by):
            return x * by

    assert Scaled()(3.0, by=2.0) == 6.0


def test_without_forward_the_error_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(1.0)


def test_train_and_eval_reach_every_module_and_give_the_module():
    net = nn.Sequential(nn.Dropout(), Block())
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert net.train() is net
    assert all(m.training for m in net.modules())
    net.train(False)
    assert not any(m.training for m in net.modules())
    assert nn.Dropout().training  # another module, not the class, was set


def test_zero_grad():
    block = Block()
    block(np.ones((4, 2))).sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())


# ---------------------------------------------------------------------------- saving and loading


def test_state_goes_into_another_module_of_the_kind(tmp_path):
    one, other = Block(), Block()
    one.offset.data = [1.0, 2.0, 3.0]
    np.savez(tmp_path / "state.npz", **one.state_dict())
    with np.load(tmp_path / "state.npz") as state:
        other.load_state_dict(state)
    x = np.ones((4, 2))
    assert np.array_equal(other(x).data, one(x).data)
    assert np.array_equal(other.offset.data, [1.0, 2.0, 3.0])
    assert other.first.weight.dtype == np.float32


def test_a_state_is_a_copy_and_so_is_what_was_loaded():
    layer = nn.Linear(2, 2)
    state = layer.state_dict()
    before = layer.weight.data.copy()
    state["weight"] += 1
    assert np.array_equal(layer.weight.data, before)
    array = layer.weight.data
    layer.load_state_dict(state)
    state["weight"] += 1
    assert np.array_equal(layer.weight.data, before + 1)
    assert layer.weight.data is array


def test_float64_is_loaded_into_float32_and_tensors_are_taken():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": Tensor([[0.5, 2.0]]), "bias": [1]})
    assert layer.weight.data.dtype == np.float32
    assert layer([[1.0, 1.0]]).tolist() == [[3.5]]


def test_a_graph_of_the_old_values_is_refused_after_loading():
    layer = nn.Linear(2, 1)
    loss = layer([1.0, 2.0]).sum()
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(ValueError, match=r"Tensor 'weight'.* was changed"):
        loss.backward()


def test_a_state_that_does_not_fit_is_refused_whole_and_every_misfit_named():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net.steps = Tensor([0])
    before = net.state_dict()
    state = {
        "0.weight": before["0.weight"] + 1,
        "0.bias": np.zeros(4),
        "1.weight": before["1.weight"],
        "2.bias": np.zeros(1),
        "steps": np.array([0.5]),
    }
    with pytest.raises(ValueError, match="does not fit this Sequential") as raised:
        net.load_state_dict(state)
    for misfit in (
        "1.bias is missing",
        "2.bias is unexpected",
        "0.bias has shape (4,) and must have (3,)",
        "steps has dtype float64 and must have int",
        "Nothing was changed; build the module as it was",
    ):
        assert misfit in str(raised.value)
    after = net.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_a_path_in_place_of_a_state_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"not str; np\.load\(path\)"):
        nn.Linear(2, 2).load_state_dict("model.npz")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent_and_keep_names_modes_and_ties(copied):
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5, np.random.default_rng(0)), nn.Linear(2, 2))
    net[2].weight = net[0].weight
    net.eval()
    other = copied(net)
    assert other[2].weight is other[0].weight
    assert not any(m.training for m in other.modules())
    assert [p.name for p in other.parameters()] == [p.name for p in net.parameters()]
    other[0].weight.data = np.zeros((2, 2))
    assert net[0].weight.data.any()


# ---------------------------------------------------------------------------- as text


def test_repr_is_nested():
    class Net(nn.Module):
        def __init__(self):
            self.body = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
            self.heads = [nn.Linear(3, 1, bias=False)]

        def extra_repr(self):
            return "heads=1"

    assert repr(Net()) == (
        "Net(\n"
        "  heads=1\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (heads.0): Linear(in_features=3, out_features=1, bias=False)\n"
        ")"
    )


def test_repr_shows_a_module_wherever_it_is_used():
    relu = nn.ReLU()
    assert repr(nn.Sequential(relu, relu)) == "Sequential(\n  (0): ReLU()\n  (1): ReLU()\n)"


def test_nn_is_reached_lazily():
    assert mg.nn is nn


def test_a_parameter_cannot_be_replaced_by_an_array():
    layer = mg.nn.Linear(2, 3)
    with pytest.raises(TypeError, match=r"Linear\.weight is a parameter.*\.weight\.data = "):
        layer.weight = np.zeros((3, 2))
    layer.weight = mg.Tensor(np.zeros((3, 2)), requires_grad=True)
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_numbers_that_become_infinite_are_refused():
    layer = nn.Linear(2, 1)
    before = layer.state_dict()
    with pytest.raises(ValueError, match="bias has numbers that are too large for float32"):
        layer.load_state_dict({**before, "bias": np.array([1e300])})
    assert all(np.array_equal(before[name], array) for name, array in layer.state_dict().items())
