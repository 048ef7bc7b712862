"""Which call each Tensor was made in, and which calls are worth a frame."""

import numpy as np

import microgradx as mg
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.scopes import leave_scope, scope
from microgradx.show.graphs.clusters import find_clusters


def path(tensor, clusters):
    """The names of the calls around a Tensor, outermost first."""
    names = []
    cluster = clusters.innermost.get(tensor)
    while cluster is not None:
        names.insert(0, cluster.scope.name)
        assert cluster.depth == (0 if cluster.around is None else cluster.around.depth + 1)
        cluster = cluster.around
    return names


def clusters_of(output, given=()):
    found = [output]
    for tensor in found:
        found += [x for x in tensor.inputs if not any(x is other for other in found)]
    results = sorted((t for t in found if t.op is not None), key=lambda t: t.sequence_number)
    return results, find_clusters(results, set(given))


def test_functions_frame_what_they_compute_and_not_their_arguments():
    z = mg.Tensor([[1.0, 2.0, 3.0]], requires_grad=True, name="z")
    results, clusters = clusters_of(mg.cross_entropy(z, [2], fused=False))
    assert path(z, clusters) == []
    paths = {result.op.name: path(result, clusters) for result in results}
    assert paths["max"] == paths["log"] == ["cross_entropy", "log_softmax"]
    assert paths["getitem"] == ["cross_entropy"]
    assert clusters.names == ["cross_entropy", "log_softmax"]


def test_modules_frame_their_parameters_too():
    class Model(mg.nn.Module):
        def __init__(self):
            self.first, self.second = mg.nn.Linear(2, 2), mg.nn.Linear(2, 2)
            self.shared = mg.Tensor(1.0, requires_grad=True, dtype=np.float32)

        def forward(self, x):
            return self.second(mg.relu(self.first(x) * self.shared)) * self.shared

    model, x = Model(), mg.Tensor(np.ones((1, 2), np.float32))
    results, clusters = clusters_of(model(x))
    assert (
        path(model.first.weight, clusters)
        == path(model.first.bias, clusters)
        == ["Model", "Linear"]
    )
    assert path(model.shared, clusters) == ["Model"]
    assert path(x, clusters) == []
    assert clusters.innermost[model.first.weight] is not clusters.innermost[model.second.weight]
    assert [path(result, clusters) for result in results] == [
        ["Model", "Linear"],
        ["Model"],
        ["Model"],
        ["Model", "Linear"],
        ["Model"],
    ]


def test_a_parameter_that_is_used_elsewhere_too_is_outside():
    layer = mg.nn.Linear(2, 2)
    _, clusters = clusters_of(mg.sum(layer(np.ones((1, 2)))) + mg.sum(layer.weight))
    assert path(layer.weight, clusters) == []
    assert path(layer.bias, clusters) == ["Linear"]


def test_what_the_user_gave_is_outside_even_if_it_looks_like_a_parameter():
    layer = mg.nn.Linear(2, 2)
    x = mg.Tensor(np.ones((1, 2), np.float32), requires_grad=True, name="x")
    assert path(x, clusters_of(layer(x))[1]) == ["Linear"]
    assert path(x, clusters_of(layer(x), given=[x])[1]) == []
    unnamed = mg.Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    assert path(unnamed, clusters_of(layer(unnamed))[1]) == []


def test_the_array_that_a_module_is_called_on_is_outside():
    network = mg.nn.Sequential(mg.nn.Linear(2, 2), mg.nn.Dropout(0.5), mg.nn.Linear(2, 2))
    results, clusters = clusters_of(network([[1.0, 2.0]]))
    array, mask = results[0].inputs[0], results[1].inputs[1]
    assert array.sequence_number > clusters.drawn[0].scope.start  # although it was made inside
    assert path(array, clusters) == []
    assert path(mask, clusters) == ["Sequential"]
    x = mg.Tensor([[1.0, 2.0]], requires_grad=True)
    results, clusters = clusters_of(mg.nn.Sequential(*list(network.modules())[2:])(mg.exp(x)))
    assert path(results[1].inputs[1], clusters) == ["Sequential"]  # a mask again


def test_constants_are_inside_if_they_were_made_there():
    outside = mg.Tensor([3.0, 4.0])

    @scope
    def f(x):
        return mg.multiply(np.array([1.0, 2.0]), x) + outside

    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    (product, total), clusters = clusters_of(f(x))
    inside = product.inputs[0]
    assert path(inside, clusters) == ["f"]
    assert path(total.inputs[1], clusters) == []
    inside.mark_changed()
    assert path(inside, clusters_of(total)[1]) == []


def test_one_op_alone_is_not_framed():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    _, clusters = clusters_of(mg.sum(mg.softmax(x)))
    assert clusters.drawn == []
    assert clusters.names == ["softmax"]


def test_a_call_holds_what_its_result_was_computed_from_inside():
    x = mg.Tensor(2.0, requires_grad=True)
    before = mg.exp(x)

    def call(): ...

    start = next(creation_counter)
    aside = mg.log(x)  # made inside, but the result does not depend on it
    out = leave_scope(call, start, mg.tanh(before * 3.0))
    _, clusters = clusters_of(out + aside)
    assert path(before, clusters) == path(aside, clusters) == []
    assert path(out, clusters) == path(out.inputs[0], clusters) == ["call"]


def test_a_value_from_within_a_call_that_is_used_outside_stays_within():
    kept = []

    @scope
    def f(x):
        kept.append(mg.exp(x) * 2.0)
        return mg.tanh(kept[-1])

    @scope
    def g(x):
        return f(x) * kept[0]

    x = mg.Tensor(1.0, requires_grad=True)
    _, clusters = clusters_of(f(x) + kept[0])
    assert path(kept.pop(), clusters) == ["f"]
    _, clusters = clusters_of(g(x))
    assert path(kept.pop(), clusters) == ["g", "f"]


def test_calls_nested_as_deep_as_python_lets_them():
    @scope
    def f(x, depth):
        return mg.tanh(f(mg.tanh(x), depth - 1) if depth > 1 else x)

    results, clusters = clusters_of(f(mg.Tensor(1.0, requires_grad=True), 200))
    assert len(clusters.drawn) == 199  # the innermost computes one op alone
    depths = [len(path(result, clusters)) for result in results]
    assert depths == [*range(1, 200), 199, *range(199, 0, -1)]
