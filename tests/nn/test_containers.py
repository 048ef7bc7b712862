"""Containers of modules: lists and dicts of them that can be changed."""

from collections import OrderedDict

import numpy as np
import pytest

from microgradx import nn


def layers(*sizes):
    return [nn.Linear(n, n) for n in sizes]


CHANGES = [
    lambda x, c, d: x.append(c),
    lambda x, c, d: x.insert(1, d),
    lambda x, c, d: x.extend([x[0], c, d]),
    lambda x, c, d: x.pop(),
    lambda x, c, d: x.pop(0),
    lambda x, c, d: x.__delitem__(0),
    lambda x, c, d: x.__setitem__(-1, c),
    lambda x, c, d: x.remove(c),
    lambda x, c, d: x.__iadd__([c, x[-1]]),
    lambda x, c, d: x.reverse(),
    lambda x, c, d: x.__delitem__(slice(1, 3)),
]


@pytest.mark.parametrize("make", [nn.ModuleList, lambda items: nn.Sequential(*items)])
def test_containers_change_as_lists_do(make):
    a, b, c, d = layers(1, 2, 3, 4)
    container, expected = make([a, b]), [a, b]
    for change in CHANGES:
        change(container, c, d)
        change(expected, c, d)
        assert list(container) == expected
        assert len(container) == len(expected)
        paths = [name for name, _ in container.named_modules()]
        assert paths == ["", *(str(expected.index(x)) for x in dict.fromkeys(expected))]
    assert type(container[:1]) is type(container)
    assert list(container[::-1]) == expected[::-1]
    assert expected[0] in container
    assert container.append(a) is container


def test_names_of_parameters_follow_the_modules():
    net = nn.Module()
    net.body = nn.Sequential(*layers(1, 2, 3))
    net.body[0].weight.name = "theta"
    del net.body[1]
    net.body.insert(0, nn.ReLU())
    assert [name for name, _ in net.named_parameters()] == [
        *("body.1.weight", "body.1.bias", "body.2.weight", "body.2.bias")
    ]
    assert [p.name for p in net.parameters()] == [
        *("theta", "body.1.bias", "body.2.weight", "body.2.bias")
    ]


def test_a_module_that_comes_twice_has_the_names_of_its_first_place():
    layer, bias = nn.Linear(2, 2), ["0.weight", "0.bias"]
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert (
        [p.name for p in net.parameters()] == [name for name, _ in net.named_parameters()] == bias
    )


def test_a_sequence_of_named_modules():
    first, second, third = layers(2, 2, 2)
    net = nn.Sequential(OrderedDict(first=first, relu=nn.ReLU(), second=second))
    assert [*net.state_dict()] == ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert net.relu is net[1]
    net.append(third)
    net.add_module("last", nn.Tanh())
    assert [name for name, _ in net.named_children()] == ["first", "relu", "second", "3", "last"]
    x = np.ones((1, 2))
    hidden = second(np.maximum(first(x).data, 0))
    assert np.array_equal(net(x).data, np.tanh(third(hidden).data))
    assert nn.Sequential({})(3.0) == 3.0


def test_what_is_not_a_module_is_refused_and_nothing_changed():
    for container in (nn.ModuleList([nn.ReLU()]), nn.Sequential(nn.ReLU())):
        before = list(container)
        for change in (
            lambda: container.append(np.tanh),  # noqa: B023
            lambda: container.extend([nn.Tanh(), None]),  # noqa: B023
            lambda: container.insert(0, 3),  # noqa: B023
            lambda: container.__setitem__(0, [nn.Tanh()]),  # noqa: B023
        ):
            with pytest.raises(TypeError, match=r"not a Module but|must be a Module, not list"):
                change()
        assert list(container) == before
    with pytest.raises(IndexError):
        nn.ModuleList()[0] = nn.ReLU()
    with pytest.raises(TypeError, match=r"write nn.ReLU\(\) .* ModuleList\(layers\) for a list"):
        nn.ModuleList([np.tanh])
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        nn.ModuleList()(1.0)


def test_a_dict_of_modules():
    heads = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.ReLU()})
    heads["c"] = nn.Linear(2, 3)
    heads.update({"b": nn.Tanh()})
    assert [*heads] == [*heads.keys()] == ["a", "b", "c"]
    assert [*heads.values()] == [heads.a, heads.b, heads.c]
    assert isinstance(heads["b"], nn.Tanh)
    assert len(heads) == 3
    assert [*heads.state_dict()] == ["a.weight", "a.bias", "c.weight", "c.bias"]
    assert heads.pop("a").weight.shape == (1, 2)
    assert "a" not in heads
    assert not hasattr(heads, "a")
    assert {heads: 1}[heads] == 1
    assert heads != nn.ModuleDict(heads)
    with pytest.raises(KeyError, match="training"):
        heads["training"]
    with pytest.raises(ValueError, match=r"ModuleDict\.items exists already"):
        heads["items"] = nn.ReLU()
    with pytest.raises(TypeError, match="d must be a Module, not ufunc"):
        heads["d"] = np.tanh
