"""Optimisers against formulas written down once more, and against PyTorch; what they refuse."""

import copy
import math

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, nn, optim

STEPS = 20
SHAPES = [(3, 4), (4,), ()]
LATE = 2  # the parameter whose gradient is missing in some steps

SGD_SETTINGS = [
    {},
    {"momentum": 0.9},
    {"weight_decay": 0.1},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.8, "nesterov": True},
    {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.05},
    {"momentum": 0.7, "nesterov": True, "weight_decay": 0.05},
    {"momentum": 0.5, "dampening": 0.2, "maximize": True},
]
ADAM_SETTINGS = [
    {},
    {"betas": (0.5, 0.9)},
    {"eps": 0.1, "weight_decay": 0.1},
    {"betas": (0.0, 0.99), "weight_decay": 0.5},
    {"betas": (0.8, 0.0), "eps": 1e-3},
    {"amsgrad": True, "betas": (0.8, 0.6)},
    {"amsgrad": True, "maximize": True, "weight_decay": 0.1},
]
RMSPROP_SETTINGS = [
    {},
    {"alpha": 0.5, "eps": 0.1, "weight_decay": 0.1},
    {"momentum": 0.9, "alpha": 0.0},
    {"centered": True, "alpha": 0.9},
    {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True},
]
ADAGRAD_SETTINGS = [
    {},
    {"lr_decay": 0.1, "weight_decay": 0.1},
    {"initial_accumulator_value": 0.5, "eps": 0.1, "maximize": True},
]
LION_SETTINGS = [
    {},
    {"betas": (0.5, 0.9), "weight_decay": 0.5},
    {"betas": (0.0, 0.5), "maximize": True},
]
CASES = [
    *(("SGD", settings) for settings in SGD_SETTINGS),
    *(("Adam", settings) for settings in ADAM_SETTINGS),
    *(("AdamW", settings) for settings in ADAM_SETTINGS),
    *(("RMSprop", settings) for settings in RMSPROP_SETTINGS),
    *(("Adagrad", settings) for settings in ADAGRAD_SETTINGS),
    *(("Lion", settings) for settings in LION_SETTINGS),
]
DECOUPLED = ("AdamW", "Lion")  # those whose weight decay is not added to the gradient
every_case = pytest.mark.parametrize(("kind", "settings"), CASES)
every_kind = pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("SGD", {"momentum": 0.9}),
        ("Adam", {}),
        ("AdamW", {}),
        ("RMSprop", {}),
        ("Adagrad", {}),
        ("Lion", {}),
    ],
)


def start(dtype):
    generator = np.random.default_rng(2)
    return [generator.normal(size=shape).astype(dtype) for shape in SHAPES]


def gradients(step, values):
    """Of some function of the parameters, so that errors feed back; one is missing at times."""
    return [
        None if i == LATE and step % 3 == 0 else np.sin(3 * value + i + step)
        for i, value in enumerate(values)
    ]


def trajectory(optimizer, parameters, steps=range(STEPS)):
    """The values of our parameters after each step."""
    path = []
    for step in steps:
        for p, g in zip(parameters, gradients(step, [p.data for p in parameters]), strict=True):
            p.grad = None if g is None else np.asarray(g, p.dtype)
        optimizer.step()
        path.append([p.data.copy() for p in parameters])
    return path


def make_parameters(dtype):
    return [Tensor(value, requires_grad=True) for value in start(dtype)]


def ours(kind, settings, dtype):
    parameters = make_parameters(dtype)
    return trajectory(getattr(optim, kind)(parameters, lr=0.05, **settings), parameters)


def by_hand(kind, settings):
    """The documented formulas once more, in Python's floats, one number at a time."""
    defaults = {
        "SGD": {"momentum": 0, "dampening": 0, "nesterov": False, "weight_decay": 0},
        "Adam": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0},
        "AdamW": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01},
        "RMSprop": {"alpha": 0.99, "eps": 1e-8, "momentum": 0},
        "Adagrad": {"lr_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10},
        "Lion": {"betas": (0.9, 0.99)},
    }
    s = {**defaults[kind], **settings}
    lr, decay = 0.05, s.get("weight_decay", 0)

    def path_of(i, w):
        first_moment = second_moment = velocity = largest = 0.0
        total = s.get("initial_accumulator_value", 0.0)
        t = 0
        for step in range(STEPS):
            if not (i == LATE and step % 3 == 0):
                g = math.sin(3 * w + i + step) * (-1 if s.get("maximize") else 1)
                t += 1
                if kind in DECOUPLED:
                    w -= lr * decay * w
                else:
                    g += decay * w
                if kind == "SGD":
                    mu = s["momentum"]
                    velocity = g if t == 1 else mu * velocity + (1 - s["dampening"]) * g
                    w -= lr * (g + mu * velocity if s["nesterov"] else velocity if mu else g)
                elif kind in ("Adam", "AdamW"):
                    b1, b2 = s["betas"]
                    first_moment = b1 * first_moment + (1 - b1) * g
                    second_moment = b2 * second_moment + (1 - b2) * g**2
                    largest = max(largest, second_moment) if s.get("amsgrad") else second_moment
                    m_hat = first_moment / (1 - b1**t)
                    v_hat = largest / (1 - b2**t)
                    w -= lr * m_hat / (math.sqrt(v_hat) + s["eps"])
                elif kind == "RMSprop":
                    a = s["alpha"]
                    first_moment = a * first_moment + (1 - a) * g
                    second_moment = a * second_moment + (1 - a) * g**2
                    variance = second_moment - first_moment**2 * bool(s.get("centered"))
                    velocity = s["momentum"] * velocity + g / (math.sqrt(variance) + s["eps"])
                    w -= lr * velocity
                elif kind == "Adagrad":
                    total += g**2
                    rate = lr / (1 + (t - 1) * s["lr_decay"])
                    w -= rate * g / (math.sqrt(total) + s["eps"])
                elif kind == "Lion":
                    b1, b2 = s["betas"]
                    w -= lr * np.sign(b1 * first_moment + (1 - b1) * g)
                    first_moment = b2 * first_moment + (1 - b2) * g
                else:
                    raise NotImplementedError(f"by_hand has no formula of {kind}")
            yield w

    paths = [
        np.array([list(path_of(i, float(w))) for w in value.ravel()]).T.reshape(STEPS, *value.shape)
        for i, value in enumerate(start(np.float64))
    ]
    return [[path[step] for path in paths] for step in range(STEPS)]


def by_torch(kind, settings, dtype):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, kind):
        pytest.skip(f"PyTorch has no {kind}")
    parameters = [torch.tensor(value, requires_grad=True) for value in start(dtype)]
    optimizer = getattr(torch.optim, kind)(parameters, lr=0.05, **settings)
    path = []
    for step in range(STEPS):
        values = [p.detach().numpy() for p in parameters]
        for p, g in zip(parameters, gradients(step, values), strict=True):
            p.grad = None if g is None else torch.tensor(np.asarray(g, dtype))
        optimizer.step()
        path.append([p.detach().numpy().copy() for p in parameters])
    return path


def assert_equal_paths(path, expected, **tolerance):
    for step, (values, others) in enumerate(zip(path, expected, strict=True)):
        for value, other in zip(values, others, strict=True):
            np.testing.assert_allclose(value, other, err_msg=f"step {step}", **tolerance)


# ---------------------------------------------------------------------------- the formulas


@every_case
def test_trajectory_is_that_of_the_formulas(kind, settings):
    path = ours(kind, settings, np.float64)
    assert_equal_paths(path, by_hand(kind, settings), rtol=1e-10, atol=1e-12)


@pytest.mark.parity
@every_case
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-4)])
def test_trajectory_is_pytorchs(kind, settings, dtype, rtol):
    path = ours(kind, settings, dtype)
    assert_equal_paths(path, by_torch(kind, settings, dtype), rtol=rtol, atol=rtol / 100)


@every_case
def test_nothing_becomes_float64(kind, settings):
    parameters = make_parameters(np.float32)
    optimizer = getattr(optim, kind)(parameters, lr=np.float64(0.05), **settings)
    arrays = [p.data for p in parameters]
    optimizer.lr = np.float64(0.01)
    for step in range(4):
        for p, g in zip(parameters, gradients(step, arrays), strict=True):
            p.grad = None if g is None else np.asarray(g, np.float64)
        optimizer.step()
    for p, array, state in zip(parameters, arrays, optimizer.state, strict=True):
        assert p.data is array  # changed in place
        assert p.dtype == np.float32
        for name in optimizer.buffers:
            if name in state:
                assert type(state[name]) is np.ndarray
                assert state[name].dtype == np.float32
                assert state[name].shape == p.shape
    assert parameters[0].dtype == np.float32
    assert bool(optimizer.state[0]) == (kind != "SGD" or "momentum" in settings)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_float32_steps_are_computed_in_float32(kind, generator):
    """To the bit: Python's numbers leave float32 arrays float32, and no other scalars get in."""
    value, g = generator.normal(size=(2, 100)).astype(np.float32)
    w = Tensor(value, requires_grad=True)
    w.grad = g.copy()
    optimizer = getattr(optim, kind)([w], lr=1.0, weight_decay=0.2)
    optimizer.lr = np.float64(0.1)  # as a schedule would compute it
    optimizer.step()
    assert np.array_equal(w.grad, g)  # it is not the optimiser's to write to
    if kind == "AdamW":
        value *= 1 - 0.1 * 0.2
    else:
        g = g + 0.2 * value
    if kind == "SGD":
        value -= 0.1 * g
    else:
        b1, b2 = 0.9, 0.999
        m, v = (1 - b1) * g, (1 - b2) * (g * g)
        correction = math.sqrt(1 - b2)
        value -= m / (np.sqrt(v) + 1e-8 * correction) * (0.1 * correction / (1 - b1))
    assert np.array_equal(w.data, value)


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_gradient():
    w = Tensor([0.0, 0.0, 0.0], requires_grad=True)
    w.grad = np.array([1e-3, -5.0, 1e6])
    optim.Adam([w], lr=0.1).step()
    assert np.allclose(w.data, [-0.1, 0.1, -0.1], rtol=1e-4)


# ---------------------------------------------------------------------------- and the graph


@every_kind
def test_a_backward_through_values_that_are_gone_is_refused(kind, settings):
    w = Tensor([1.0, 2.0], requires_grad=True, name="w")
    loss = (w * w).sum()
    loss.backward()
    getattr(optim, kind)([w], lr=0.1, **settings).step()
    with pytest.raises(ValueError, match=r"Tensor 'w' .* was changed after"):
        loss.backward()


@every_kind
def test_a_parameter_without_gradient_stays_and_so_does_its_graph(kind, settings):
    w, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    loss = (w * w).sum()
    b.grad = np.array([1.0])
    optimizer = getattr(optim, kind)([w, b], lr=0.1, **settings)
    optimizer.step()
    assert w.data == [1.0]
    assert b.data != [1.0]
    assert optimizer.state[0] == {}
    loss.backward()
    assert w.grad == [2.0]


def test_a_gradient_with_a_graph_is_read_through_its_data():
    w = Tensor([1.0, 2.0], requires_grad=True)
    (w**3).sum().backward(create_graph=True)
    assert isinstance(w.grad, Tensor)
    optim.SGD([w], lr=0.1).step()
    assert np.allclose(w.data, [0.7, 0.8])
    w.grad = None


@every_kind
def test_values_set_between_steps_are_where_the_next_step_starts(kind, settings):
    w = Tensor([1.0, 2.0], requires_grad=True)
    optimizer = getattr(optim, kind)([w], lr=0.1, **settings)
    w.grad = np.array([1.0, 1.0])
    optimizer.step()
    before = w.data.copy()
    w.data = before + 5
    other = copy.deepcopy(w)
    other.grad = w.grad
    twin = getattr(optim, kind)([other], lr=0.1, **settings)
    twin.load_state_dict(optimizer.state_dict())
    optimizer.step()
    twin.step()
    assert np.array_equal(w.data, other.data)
    assert np.all(abs(w.data - (before + 5)) < 1)
    assert not np.array_equal(w.data, before + 5)


def test_two_optimisers_on_the_same_parameters_take_turns():
    w = Tensor([3.0, -2.0], requires_grad=True)
    sgd, adam = optim.SGD([w], lr=0.1, momentum=0.5), optim.Adam([w], lr=0.2)
    value = w.data.copy()
    velocity = first_moment = second_moment = 0.0
    for t in range(1, 6):
        for optimizer in (sgd, adam):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        velocity = 0.5 * velocity + 2 * value
        value = value - 0.1 * velocity
        g = 2 * value
        first_moment = 0.9 * first_moment + 0.1 * g
        second_moment = 0.999 * second_moment + 0.001 * g**2
        m_hat, v_hat = first_moment / (1 - 0.9**t), second_moment / (1 - 0.999**t)
        value = value - 0.2 * m_hat / (np.sqrt(v_hat) + 1e-8)
    assert np.allclose(w.data, value, rtol=1e-12)


def test_zero_grad():
    w = Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    (w * w).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(w.grad, [0.0])
    optimizer.zero_grad()
    assert w.grad is None
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is None


def test_what_pytorch_has_for_speed_is_to_be_left_out():
    for name in ("foreach", "fused", "capturable", "differentiable"):
        with pytest.raises(TypeError, match=f"Adam has no argument {name}=; leave it out: small"):
            optim.Adam([Tensor([1.0], requires_grad=True)], **{name: True})


def test_a_gradient_of_another_shape_is_refused_before_anything_changes():
    w, b = Tensor([1.0], requires_grad=True), Tensor([1.0, 2.0], requires_grad=True, name="b")
    w.grad, b.grad = np.array([1.0]), np.array([1.0])
    with pytest.raises(ValueError, match=r"Tensor 'b' .* has a gradient of shape \(1,\)"):
        optim.SGD([w, b], lr=0.1).step()
    assert w.data == [1.0]


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: optim.SGD([w], -0.1), "lr must be at least 0 and finite, not -0.1"),
        (lambda w: optim.SGD([w], math.nan), "lr must be at least 0 and finite, not nan"),
        (lambda w: optim.SGD([w], math.inf), "lr must be at least 0 and finite, not inf"),
        (lambda w: optim.SGD([w], 0.1, momentum=-1), "momentum must be at least 0"),
        (lambda w: optim.SGD([w], 0.1, dampening=-1), "dampening must be at least 0"),
        (lambda w: optim.SGD([w], 0.1, weight_decay=-1), "weight_decay must be at least 0"),
        (lambda w: optim.SGD([w], 0.1, nesterov=True), "needs a momentum above 0"),
        (
            lambda w: optim.SGD([w], 0.1, momentum=0.9, dampening=0.1, nesterov=True),
            "a dampening of 0, not 0.9 and 0.1",
        ),
        (lambda w: optim.Adam([w], -1), "lr must be at least 0"),
        (lambda w: optim.Adam([w], betas=(1.0, 0.9)), r"betas\[0\] must be .* less than 1, not 1"),
        (lambda w: optim.Adam([w], betas=(0.9, -0.1)), r"betas\[1\] must be at least 0"),
        (lambda w: optim.Adam([w], betas=(0.9, math.nan)), r"betas\[1\] .* not nan"),
        (lambda w: optim.Adam([w], betas=0.9), r"betas must be two numbers, .* not 0.9"),
        (lambda w: optim.Adam([w], eps=-1e-8), "eps must be at least 0"),
        (lambda w: optim.AdamW([w], weight_decay=-1), "weight_decay must be at least 0"),
        (lambda w: optim.SGD([], 0.1), "there are no parameters to train; a generator"),
        (lambda w: optim.SGD([w, Tensor([1.0]), w], 0.1), "parameter 1, .* requires no gradient"),
        (lambda w: optim.SGD([w, w], 0.1), r"parameter 1, Tensor 'w' .* at position 0"),
        (lambda w: optim.SGD([w * 2], 0.1), "parameter 0, .* was computed by multiply"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(Tensor([1.0], requires_grad=True, name="w"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: optim.SGD([w], "fast"), "lr must be a number, not 'fast'"),
        (
            lambda w: optim.SGD(w, 0.1),
            "must be several Tensors, not Tensor; write model.parameters",
        ),
        (lambda w: optim.SGD(nn.Linear(2, 2), 0.1), "several Tensors, not Linear; write model.par"),
        (lambda w: optim.SGD(nn.MLP(2, (), 2), 0.1), "parameter 0 is not a Tensor but Linear"),
        (lambda w: optim.SGD([np.ones(2)], 0.1), "parameter 0 is not a Tensor but ndarray"),
        (lambda w: optim.SGD([(w, w)], 0.1), "parameter 0 is not a Tensor but tuple"),
        (lambda w: optim.SGD([("w", np.ones(2))], 0.1), "parameter 0 is not a Tensor but ndarray"),
    ],
)
def test_what_cannot_be_trained_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make(Tensor([1.0], requires_grad=True))


def test_parameters_that_are_not_numpys_are_refused():
    dask = pytest.importorskip("dask.array")
    w = Tensor(dask.ones(3), requires_grad=True)
    with pytest.raises(TypeError, match="NumPy arrays in place"):
        optim.SGD([w], 0.1)


def test_named_parameters_give_names_to_those_that_have_none():
    v, w = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True, name="w")
    optimizer = optim.SGD([("first", v), ("second", w)], lr=0.1)
    assert [p.name for p in optimizer.params] == ["first", "w"]
    net = nn.MLP(2, (3,), 2)
    assert list(map(id, optim.Adam(net.named_parameters()).params)) == list(
        map(id, net.parameters())
    )


def test_repr_shows_the_settings():
    w = Tensor([1.0], requires_grad=True)
    assert repr(optim.Adam([w], lr=0.1)) == (
        "Adam(lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False, "
        "maximize=False)"
    )


# ---------------------------------------------------------------------------- they learn


@pytest.mark.parametrize(
    ("make", "activation"),
    [
        (lambda p: optim.SGD(p, lr=0.5), "tanh"),
        (lambda p: optim.SGD(p, lr=0.2, momentum=0.9, nesterov=True), "sigmoid"),
        (lambda p: optim.Adam(p, lr=0.05), "relu"),
        (lambda p: optim.AdamW(p, lr=0.05), "tanh"),
    ],
)
def test_xor_is_learnt(make, activation):
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    net = nn.MLP(2, (8,), 2, activation, generator=np.random.default_rng(0))
    optimizer = make(net.parameters())
    for _ in range(400):
        optimizer.zero_grad()
        loss = mg.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
    assert net(X).argmax(axis=1).tolist() == y.tolist()
    assert loss.item() < 0.1
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float32)}
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float32)}


def train_on_spirals():
    mg.manual_seed(0)
    X, y = mg.data.spirals(300)
    X_train, X_test, y_train, y_test = mg.data.train_test_split(X, y)
    scaler = mg.data.StandardScaler().fit(X_train)
    net = nn.MLP(2, (32, 32), 3, dropout=0.02)
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    batches = mg.data.batches(scaler.transform(X_train), y_train, 32)
    for _ in range(60):
        for X_batch, y_batch in batches:
            optimizer.zero_grad()
            mg.cross_entropy(net(X_batch), y_batch).backward()
            optimizer.step()
    net.eval()
    with mg.no_grad():
        predicted = net(scaler.transform(X_test)).argmax(axis=1)
    return np.mean(predicted == y_test), net.state_dict()


def test_spirals_are_learnt_and_the_same_seed_gives_the_same_bits():
    accuracy, state = train_on_spirals()
    assert accuracy > 0.9
    _, again = train_on_spirals()
    assert all(np.array_equal(state[name], again[name]) for name in state)


def test_a_parameter_that_cannot_be_written_to_is_refused_at_once():
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for array in (frozen, np.broadcast_to(1.0, (3,))):
        w = mg.as_tensor(array).requires_grad_()
        for make in (optim.SGD, optim.Adam, optim.AdamW):
            with pytest.raises(ValueError, match=r"parameter 0, .* read-only.* mg\.Tensor\(array"):
                make([w], lr=0.1)
        with pytest.raises(ValueError, match=r"read-only; .* mg\.Tensor\(array"):
            w.data = np.zeros(3)


def test_a_step_changes_nothing_if_one_parameter_became_read_only():
    v, w = (mg.Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    arrays = [t.data for t in (v, w)]  # referred to, so that they are not made views of one
    optimizer = optim.SGD([v, w], lr=0.1)
    v.grad, w.grad = np.ones(3), np.ones(3)
    arrays[1].flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step()
    np.testing.assert_array_equal(v.data, np.ones(3))


@every_kind
@pytest.mark.parametrize("size", [4, 10_000])
def test_float16_is_updated_in_float32_and_keeps_its_state_there(kind, settings, size):
    start, g = (np.full(size, number, np.float16) for number in (1.0, 1e-6))  # g² is 0 in float16
    narrow = [mg.Tensor(start, requires_grad=True) for _ in range(2)]
    optimizer = getattr(optim, kind)(narrow, lr=0.01, **settings)
    wide = mg.Tensor(start.astype(np.float32), requires_grad=True)
    expected = getattr(optim, kind)([wide], lr=0.01, **settings)
    for _ in range(20):
        for each in narrow:
            each.grad = g
        wide.grad = g.astype(np.float32)
        optimizer.step()
        expected.step()
        wide.data = wide.data.astype(np.float16)
        np.testing.assert_array_equal(narrow[1].data, wide.data)
        assert narrow[1].data.dtype == np.float16
    if kind != "SGD":
        assert narrow[0].data[0] < 0.97
    again = getattr(optim, kind)(narrow, lr=0.01, **settings)
    again.load_state_dict(optimizer.state_dict())
    for state, loaded in zip(optimizer.state, again.state, strict=True):
        for name, value in state.items():
            np.testing.assert_array_equal(loaded[name], value)
            assert isinstance(value, int) or value.dtype == loaded[name].dtype == np.float32
