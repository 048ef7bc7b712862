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


def test_only_leaves_that_require_gradients_or_are_frozen_are_parameters():
    module = nn.Module()
    module.weight = parameter(2)
    module.constant = Tensor([1.0])
    module.counts = Tensor([1, 2])
    module.computed = module.weight * 2
    module.array = np.ones(3)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    module.weight.requires_grad = False
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert [name for name, _ in module.named_buffers()] == ["constant", "counts"]
    assert list(module.state_dict()) == ["weight", "constant", "counts"]


def test_what_is_asked_for_at_a_path():
    block = Block()
    assert block.get_parameter("others.1.1.bias") is block.others[1][1].bias
    assert block.get_parameter("by_name.gain") is block.by_name["gain"]
    assert block.get_submodule("others.0") is block.others[0]
    assert block.get_submodule("") is block
    assert block.get_buffer("offset") is block.offset
    block.others[0].weight = block.first.weight  # not listed under this path, but there
    assert block.get_parameter("others.0.weight") is block.first.weight
    for get, target, there in (
        (block.get_parameter, "first.wight", "'first.weight', 'first.bias', "),
        (block.get_parameter, "offset", "'first.weight'"),
        (block.get_submodule, "others.2", "'first', 'others.0', "),
        (block.get_submodule, "others", "'first'"),
        (block.get_buffer, "scale", "'offset'$"),
        (block.get_buffer, "offset.data", "'offset'$"),
        (nn.ReLU().get_buffer, "x", "none$"),
    ):
        with pytest.raises(AttributeError, match=f"has no .* '{target}'; it has .*{there}"):
            get(target)


def test_children_are_the_submodules_of_the_module_itself():
    block = Block()
    assert [name for name, _ in nn.Sequential(block).named_children()] == ["0"]
    assert [name for name, _ in block.named_children()] == [
        *("first", "others.0", "others.1.0", "others.1.1")
    ]
    relu = nn.ReLU()
    assert list(nn.Sequential(relu, relu).children()) == [relu]
    assert [name for name, _ in block.named_parameters(recurse=False)] == ["scale", "by_name.gain"]
    assert [name for name, _ in block.named_buffers(recurse=False)] == ["offset"]


def test_apply_comes_to_submodules_first_in_their_order():
    net = nn.Sequential(nn.Sequential(nn.Tanh(), nn.ReLU()), nn.Sigmoid())
    kinds = []
    assert net.apply(lambda module: kinds.append(type(module))) is net
    assert kinds == [nn.Tanh, nn.ReLU, nn.Sequential, nn.Sigmoid, nn.Sequential]


def test_modules_of_computed_names():
    net = nn.Module()
    net.add_module("layer1", nn.Linear(2, 3))
    net.add_module("none", None)
    assert [name for name, _ in net.named_parameters()] == ["layer1.weight", "layer1.bias"]
    with pytest.raises(TypeError, match="layer2 must be a Module, not function"):
        net.add_module("layer2", lambda x: x)
    for name, message in (("a.b", "paths are made with dots"), ("forward", "exists already")):
        with pytest.raises(ValueError, match=message):
            net.add_module(name, nn.ReLU())


# ---------------------------------------------------------------------------- buffers


class Counter(nn.Module):
    def __init__(self):
        self.register_buffer("count", 0)
        self.register_buffer("mean", np.zeros(2, np.float32))
        self.register_buffer("last", np.ones(2), persistent=False)
        self.register_buffer("none", None)

    def forward(self, x):
        self.count.data = self.count.data + 1
        self.mean.data = self.mean.data + np.mean(x, axis=0)
        return x


def test_buffers_are_saved_and_not_trained(tmp_path):
    counter = Counter()
    counter(np.array([[1.0, 2.0], [3.0, 6.0]]))
    net = nn.Sequential(counter)
    assert not [*net.parameters()]
    assert [name for name, _ in net.named_buffers()] == ["0.count", "0.mean", "0.last"]
    assert [*net.buffers()] == [counter.count, counter.mean, counter.last]
    np.savez(tmp_path / "state.npz", **net.state_dict())
    other = nn.Sequential(Counter())
    with np.load(tmp_path / "state.npz") as state:
        assert {*state} == {"0.count", "0.mean"}
        other.load_state_dict(state)
    assert other[0].count.item() == 1
    assert other[0].mean.tolist() == [2, 4]
    assert other[0].mean.dtype == np.float32


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_buffers_and_what_is_frozen_of_their_own(copied):
    counter = Counter()
    counter.weight = parameter(2).requires_grad_(False)
    counter.constant = Tensor([1.0])
    other = copied(counter)
    other.count.data = 5
    assert counter.count.item() == 0
    assert [*other.state_dict()] == [*counter.state_dict()]
    assert [name for name, _ in other.named_parameters()] == ["weight"]
    assert not other.weight.requires_grad
    assert other.unfreeze().weight.requires_grad
    assert not other.constant.requires_grad


def test_an_array_is_copied_into_a_buffer_and_a_tensor_is_the_buffer():
    module, array, tensor = nn.Module(), np.zeros(2), Tensor([1.0])
    module.register_buffer("a", array)
    module.register_buffer("t", tensor)
    array += 1
    assert module.a.tolist() == [0, 0]
    assert module.t is tensor
    module.register_buffer("t", None)  # again, as something else
    assert [*module.state_dict()] == ["a"]


def test_a_buffer_may_be_deleted_or_changed_in_kind():
    counter = Counter()
    del counter.last
    counter.mean = None
    assert [*counter.state_dict()] == ["count"]
    counter.register_buffer("last", [3.0])  # now to be saved
    assert [*counter.state_dict()] == ["count", "last"]
    with mg.no_grad():
        counter.last = counter.last * 2
    assert counter.state_dict()["last"] == [6.0]


@pytest.mark.parametrize("value", [np.ones(2), 1.0, [1.0, 2.0], parameter(2), parameter(2) * 2])
def test_what_a_buffer_cannot_be_is_refused(value):
    counter = Counter()
    with pytest.raises(TypeError, match=r"Counter.mean is a buffer, .*\.mean\.data = "):
        counter.mean = value
    assert counter.mean.tolist() == [0, 0]
    counter.mean = Tensor([1.0, 2.0])
    if isinstance(value, Tensor):
        with pytest.raises(TypeError, match=r"is a buffer, .* requires gradients"):
            counter.register_buffer("other", value)
        assert not hasattr(counter, "other")
        counter.other = value  # it was not registered


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.b", "cannot be called 'a.b'"),
        ("", "cannot be called ''"),
        (1, "cannot be called 1"),
        ("forward", r"Linear\.forward exists already"),
        ("training", r"Linear\.training exists already"),
        ("weight", r"Linear\.weight exists already"),
    ],
)
def test_names_that_no_buffer_can_have(name, message):
    with pytest.raises(ValueError, match=message):
        nn.Linear(2, 2).register_buffer(name, np.zeros(2))


# ---------------------------------------------------------------------------- freezing


def test_frozen_parameters_stay_parameters_and_do_not_change():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = net.state_dict()
    optimizer = mg.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net([[1.0, 2.0]]).sum().backward()
        optimizer.step()
    net(np.ones((2, 2))).sum().backward()  # gradients that would still be there
    assert net[0].freeze() is net[0]
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True]
    assert [*net.state_dict()] == [*state]
    assert not [*net.buffers()]
    before = net.state_dict()
    optimizer.step()
    optimizer.zero_grad()
    net([[1.0, 2.0]]).sum().backward()
    assert net[0].weight.grad is None
    optimizer.step()
    changed = [name for name, x in net.state_dict().items() if not np.array_equal(x, before[name])]
    assert changed == ["1.weight", "1.bias"]
    assert net.unfreeze() is net
    net([[1.0, 2.0]]).sum().backward()
    optimizer.step()
    assert not np.array_equal(net[0].weight.data, before["0.weight"])


def test_parameters_may_be_frozen_one_by_one_before_the_optimiser_is_made():
    net = nn.MLP(2, (3,), 1)
    net.offset = Tensor([1.0])
    for p in net[0].parameters():
        p.requires_grad = False
    before = net.state_dict()
    optimizer = mg.optim.Adam(net.parameters(), lr=0.1)
    net([[1.0, 2.0]]).sum().backward()
    optimizer.step()
    changed = [name for name, x in net.state_dict().items() if not np.array_equal(x, before[name])]
    assert changed == ["2.weight", "2.bias"] or changed == ["2.bias"]
    for p in net.parameters():
        p.requires_grad = True
    assert not net.offset.requires_grad
    assert len(list(net.parameters())) == 4


def test_a_frozen_parameter_keeps_its_name_and_gets_that_of_its_path():
    layer = nn.Linear(2, 2).freeze()
    net = nn.Sequential(layer)
    assert [p.name for p in net.parameters()] == ["0.weight", "0.bias"]
    with pytest.raises(TypeError, match="weight is a parameter"):
        layer.weight = np.zeros((2, 2))


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


def test_not_strictly_what_both_have_is_loaded():
    old, new = nn.MLP(2, (3,), 4), nn.MLP(2, (3,), 4)
    new[2] = nn.Linear(3, 5)
    state = {name: x for name, x in old.state_dict().items() if name[0] == "0"} | {"3.bias": [1.0]}
    keys = new.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["2.weight", "2.bias"]
    assert keys.unexpected_keys == ["3.bias"]
    assert np.array_equal(new[0].weight.data, old[0].weight.data)
    with pytest.raises(ValueError, match=r"2\.bias has shape \(4,\) and must have \(5,\)"):
        new.load_state_dict(old.state_dict(), strict=False)
    assert repr(keys) == "<missing: ['2.weight', '2.bias']; unexpected: ['3.bias']>"
    assert repr(new.load_state_dict(new.state_dict())) == "<all names match>"


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
