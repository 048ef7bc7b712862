"""Schedules against closed forms written down once more, and against PyTorch; their states."""

import copy
import io
import math

import numpy as np
import pytest

import microgradx as mg
from microgradx import optim
from microgradx.optim import lr_scheduler as schedules

LR = (0.3, 0.05)  # of two parameter groups
EPOCHS = 23

#: Makes a scheduler from a module of them, ours or PyTorch's, and an optimiser.
MAKERS = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda epoch: 0.9**epoch),
    "lambdas": lambda s, o: s.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), lambda epoch: 1.0]),
    "step": lambda s, o: s.StepLR(o, 3, gamma=0.5),
    "step of one": lambda s, o: s.StepLR(o, 1),
    "milestones": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 11], gamma=0.3),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.2, total_iters=4),
    "linear": lambda s, o: s.LinearLR(o),
    "linear to 0": lambda s, o: s.LinearLR(o, 1.0, 0.0, total_iters=7),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.8),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 10, eta_min=0.01),
    "cosine, again": lambda s, o: s.CosineAnnealingLR(o, 4),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, eta_min=0.01),
    "longer restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, T_mult=2),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.7, total_steps=EPOCHS),
    "one cycle, linear": lambda s, o: s.OneCycleLR(
        o,
        [0.7, 0.1],
        epochs=8,
        steps_per_epoch=3,
        anneal_strategy="linear",
        pct_start=0.25,
        base_momentum=[0.8, 0.7],
        max_momentum=0.9,
        div_factor=10.0,
        final_div_factor=100.0,
    ),
    "one cycle, three phases": lambda s, o: s.OneCycleLR(
        o, 0.7, total_steps=EPOCHS, three_phase=True, cycle_momentum=False
    ),
    "warm-up and cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingLR(o, 12)], [4]
    ),
    "three in sequence": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.5, 2), s.ExponentialLR(o, 0.9), s.StepLR(o, 2)], [3, 9]
    ),
    "milestones and restarts": lambda s, o: s.SequentialLR(
        o, [s.MultiStepLR(o, [1, 2]), s.CosineAnnealingWarmRestarts(o, 4)], [5]
    ),
}
every_schedule = pytest.mark.parametrize("name", MAKERS)


def make_optimizer(kind="SGD", lrs=LR, **settings):
    generator = np.random.default_rng(0)
    groups = [
        {"params": [mg.Tensor(generator.normal(size=4), requires_grad=True)], "lr": lr}
        for lr in lrs
    ]
    return getattr(optim, kind)(groups, **settings)


def read(optimizer):
    """The settings that schedules change, of each group."""
    return [
        (group["lr"], group.get("momentum", group.get("betas", (None,))[0]))
        for group in optimizer.param_groups
    ]


def run(scheduler, optimizer, epochs):
    path = [read(optimizer)]
    for _ in range(epochs):
        scheduler.step()
        path.append(read(optimizer))
        rates = [lr for lr, _ in path[-1]]
        assert scheduler.get_last_lr() == rates
    return path


# ---------------------------------------------------------------------------- the formulas


def cosine(start, end, done):
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def one_cycle(base, t):
    up = 0.3 * EPOCHS - 1
    low, last = 0.7 / 25, 0.7 / 25 / 1e4
    return cosine(low, 0.7, t / up) if t <= up else cosine(0.7, last, (t - up) / (EPOCHS - 1 - up))


#: The learning rate as a function of the first one and the epoch.
CLOSED = {
    "lambda": lambda base, t: base * 0.9**t,
    "step": lambda base, t: base * 0.5 ** (t // 3),
    "step of one": lambda base, t: base * 0.1**t,
    "milestones": lambda base, t: base * 0.3 ** sum(t >= m for m in (2, 5, 5, 11)),
    "constant": lambda base, t: base * (0.2 if t < 4 else 1),
    "linear": lambda base, t: base * (1 / 3 + 2 / 3 * min(t, 5) / 5),
    "linear to 0": lambda base, t: base * (1 - min(t, 7) / 7),
    "exponential": lambda base, t: base * 0.8**t,
    "cosine": lambda base, t: cosine(base, 0.01, t / 10),
    "cosine, again": lambda base, t: cosine(base, 0, t / 4),
    "restarts": lambda base, t: cosine(base, 0.01, t % 5 / 5),
    "longer restarts": lambda base, t: next(
        cosine(base, 0, (t - start) / length)
        for start, length in ((0, 3), (3, 6), (9, 12), (21, 24))
        if t < start + length
    ),
    "one cycle": one_cycle,
    "warm-up and cosine": lambda base, t: (
        base * (0.1 + 0.9 * t / 4) if t < 4 else cosine(base, 0, (t - 4) / 12)
    ),
    "three in sequence": lambda base, t: (
        base * (0.5 if t < 2 else 1)
        if t < 3
        else base * (0.9 ** (t - 3) if t < 9 else 0.1 ** ((t - 9) // 2))
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_each_epoch_has_the_learning_rate_of_the_closed_form(name):
    optimizer = make_optimizer()
    scheduler = MAKERS[name](schedules, optimizer)
    for epoch in range(EPOCHS):
        for base, group in zip(LR, optimizer.param_groups, strict=True):
            expected = CLOSED[name](base, epoch)
            assert group["lr"] == pytest.approx(expected, rel=1e-12, abs=1e-16), epoch
        assert scheduler.last_epoch == epoch
        scheduler.step()


@pytest.mark.parametrize("name", [name for name in CLOSED if "cycle" not in name])
def test_the_first_and_last_epochs_are_exact(name):
    """No rounding error is left where a schedule begins and ends."""
    optimizer = make_optimizer(lrs=(0.3,))
    scheduler = MAKERS[name](schedules, optimizer)
    assert optimizer.lr == pytest.approx(CLOSED[name](0.3, 0), rel=1e-16)
    ends = {"cosine": (10, 0.01), "cosine, again": (4, 0.0), "linear to 0": (7, 0.0)}
    epochs, end = ends.get(name, (0, optimizer.lr))
    for _ in range(epochs):
        scheduler.step()
    assert optimizer.lr == pytest.approx(end, abs=1e-17)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop"])
def test_one_cycle_moves_momentum_the_other_way(kind):
    optimizer = make_optimizer(kind)
    path = run(schedules.OneCycleLR(optimizer, 1.0, total_steps=11, pct_start=0.5), optimizer, 10)
    momentum = [values[0][1] for values in path]
    up = 0.5 * 11 - 1
    for step, value in enumerate(momentum):
        expected = (
            cosine(0.95, 0.85, step / up)
            if step <= up
            else cosine(0.85, 0.95, (step - up) / (10 - up))
        )
        assert value == pytest.approx(expected, rel=1e-13)


def test_one_cycle_at_its_ends():
    optimizer = make_optimizer(lrs=(0.1,))
    scheduler = schedules.OneCycleLR(optimizer, 0.5, total_steps=10, anneal_strategy="linear")
    assert optimizer.lr == 0.02
    run(scheduler, optimizer, 2)
    assert optimizer.lr == 0.5
    run(scheduler, optimizer, 7)
    assert optimizer.lr == pytest.approx(0.02 / 1e4)
    run(scheduler, optimizer, 1)  # after the last step, as a loop over all batches ends
    assert optimizer.lr == pytest.approx(0.02 / 1e4)
    before = scheduler.state_dict()
    with pytest.raises(ValueError, match="this is step 11 of a schedule of 10; give OneCycleLR"):
        scheduler.step()
    for name, value in scheduler.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    for pct_start in (0.0, 0.1, 1.0, 1):  # with a way up of no length, PyTorch divides by 0
        optimizer = make_optimizer(lrs=(0.1,))
        scheduler = schedules.OneCycleLR(optimizer, 0.5, total_steps=10, pct_start=pct_start)
        rates = [lr for ((lr, _),) in run(scheduler, optimizer, 9)]
        assert max(rates) == pytest.approx(0.5, rel=0.05)


def test_schedules_of_no_length_are_over_at_once():
    optimizer = make_optimizer()
    run(schedules.LinearLR(optimizer, 0.1, total_iters=0), optimizer, 3)
    run(schedules.ConstantLR(optimizer, 0.1, total_iters=0), optimizer, 3)
    assert [group["lr"] for group in optimizer.param_groups] == list(LR)
    run(schedules.ConstantLR(optimizer, 0.0, total_iters=3), optimizer, 3)
    assert [group["lr"] for group in optimizer.param_groups] == list(LR)


def test_restarts_go_to_any_epoch():
    for mult in (1, 2, 3):
        optimizer = make_optimizer(lrs=(0.4,))
        scheduler = schedules.CosineAnnealingWarmRestarts(optimizer, 1, T_mult=mult)
        starts = [0, 1, 1 + mult, 1 + mult + mult**2, 1 + mult + mult**2 + mult**3]
        if mult == 3:  # where PyTorch's logarithm is rounded down, and the period is over
            starts.append(121)
        for start in starts:
            scheduler.step(start)
            assert optimizer.lr == 0.4
        scheduler.step(starts[2] + mult**2 / 2)
        assert optimizer.lr == pytest.approx(0.2)
        scheduler.step()
    with pytest.raises(ValueError, match="epoch must be at least 0"):
        scheduler.step(-1)


def plateau_by_hand(metrics, lr, s):
    best, bad, cooling, path = None, 0, 0, []
    for metric in metrics:
        sign = 1 if s.get("mode", "min") == "min" else -1
        margin = s.get("threshold", 1e-4)
        if s.get("threshold_mode", "rel") == "rel" and best is not None:
            margin *= best
        if best is None or (not math.isnan(metric) and sign * (best - metric) > margin):
            best, bad = metric, 0
        else:
            bad += 1
        if cooling:
            cooling, bad = cooling - 1, 0
        if bad > s.get("patience", 10):
            new = max(lr * s.get("factor", 0.1), s.get("min_lr", 0))
            lr = new if lr - new > s.get("eps", 1e-8) else lr
            cooling, bad = s.get("cooldown", 0), 0
        path.append(lr)
    return path


PLATEAUS = [
    {},
    {"patience": 0},
    {"mode": "max", "patience": 1},
    {"patience": 2, "factor": 0.5, "cooldown": 3},
    {"patience": 1, "threshold": 0.1},
    {"patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
    {"patience": 1, "threshold": 0.1, "threshold_mode": "abs", "mode": "max"},
    {"patience": 1, "threshold": 0.1, "mode": "max", "min_lr": 0.01},
    {"patience": 0, "factor": 0.9, "eps": 0.02},
    {"patience": 3, "factor": 0.0},
]


def metrics_of(seed):
    generator = np.random.default_rng(seed)
    metrics = 2 + np.exp(-np.arange(60) / 8) + 0.1 * generator.normal(size=60)
    metrics[7] = math.nan
    return metrics


@pytest.mark.parametrize("settings", PLATEAUS)
def test_a_plateau_reduces_the_learning_rate(settings):
    for seed in range(3):
        optimizer = make_optimizer(lrs=(0.3,))
        scheduler = schedules.ReduceLROnPlateau(optimizer, **settings)
        path = []
        for metric in metrics_of(seed):
            scheduler.step(metric)
            path += scheduler.get_last_lr()
            assert path[-1] == optimizer.lr
        assert path == plateau_by_hand(metrics_of(seed), 0.3, settings)
        if "eps" not in settings and settings:
            assert path[-1] < 0.3


def test_plateaus_take_tensors_and_a_limit_for_each_group():
    optimizer = make_optimizer()
    scheduler = schedules.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1, 0.0])
    for _ in range(3):
        scheduler.step(mg.Tensor(1.0, requires_grad=True) * 2)
    assert scheduler.get_last_lr() == pytest.approx([0.1, 0.05 / 100])


# ---------------------------------------------------------------------------- PyTorch's


def make_torch_optimizer(torch, kind="SGD", lrs=LR, **settings):
    groups = [
        {"params": [torch.zeros(4, dtype=torch.float64, requires_grad=True)], "lr": lr}
        for lr in lrs
    ]
    return getattr(torch.optim, kind)(groups, **settings)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@every_schedule
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("changes", [{}, {6: 0.5}, {0: 2.0, 8: 0.9, 13: 3.0}])
def test_schedules_are_pytorchs(name, kind, changes):
    """Also if somebody else changes the learning rate in between."""
    torch = pytest.importorskip("torch")
    optimizers = make_optimizer(kind), make_torch_optimizer(torch, kind)
    modules = schedules, torch.optim.lr_scheduler
    schedulers = [MAKERS[name](*pair) for pair in zip(modules, optimizers, strict=True)]
    for epoch in range(EPOCHS):
        ours, theirs = map(read, optimizers)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-16)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            if epoch in changes:
                for group in optimizer.param_groups:
                    group["lr"] *= changes[epoch]
            scheduler.step()
        np.testing.assert_allclose(
            schedulers[0].get_last_lr(), schedulers[1].get_last_lr(), rtol=1e-12, atol=1e-16
        )


@pytest.mark.parity
@pytest.mark.parametrize("settings", PLATEAUS)
def test_plateaus_are_pytorchs(settings):
    torch = pytest.importorskip("torch")
    optimizers = make_optimizer(), make_torch_optimizer(torch)
    modules = schedules, torch.optim.lr_scheduler
    schedulers = [
        module.ReduceLROnPlateau(optimizer, **settings)
        for module, optimizer in zip(modules, optimizers, strict=True)
    ]
    for metric in metrics_of(0):
        for scheduler in schedulers:
            scheduler.step(metric)
        assert schedulers[0].get_last_lr() == schedulers[1].get_last_lr()


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mult", [1, 2])
def test_fractions_of_epochs_are_pytorchs(mult):
    torch = pytest.importorskip("torch")
    optimizers = make_optimizer(), make_torch_optimizer(torch)
    modules = schedules, torch.optim.lr_scheduler
    schedulers = [
        module.CosineAnnealingWarmRestarts(optimizer, 3, T_mult=mult)
        for module, optimizer in zip(modules, optimizers, strict=True)
    ]
    for epoch in (0.5, 2.9, None, None, 8.25, 3, None, 20.5, None, None):
        for scheduler in schedulers:
            scheduler.step(epoch)
        np.testing.assert_allclose(*map(read, optimizers), rtol=1e-12)


# ---------------------------------------------------------------------------- states


def save_and_load(state):
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    return np.load(file)


@pytest.mark.slow
@every_schedule
@pytest.mark.parametrize(
    ("epochs", "order"),
    [
        (0, "optimiser first"),
        (1, "scheduler first"),
        (4, "made last"),
        (11, "optimiser first"),
        (11, "made last"),
    ],
)
def test_a_saved_schedule_goes_on_as_if_nothing_had_happened(name, epochs, order):
    optimizer = make_optimizer("AdamW")
    scheduler = MAKERS[name](schedules, optimizer)
    run(scheduler, optimizer, epochs)
    if "cycle" not in name:
        optimizer.param_groups[1]["lr"] *= 0.5  # by hand, after the scheduler's step
    states = optimizer.state_dict(), scheduler.state_dict()
    loaded = [save_and_load(state) for state in states]
    other = make_optimizer("AdamW", lrs=(1.0, 1.0))
    if order == "made last":
        other.load_state_dict(loaded[0])
        resumed = MAKERS[name](schedules, other)
        resumed.load_state_dict(loaded[1])
    else:
        resumed = MAKERS[name](schedules, other)
        if order == "optimiser first":
            other.load_state_dict(loaded[0])
        resumed.load_state_dict(loaded[1])
        if order == "scheduler first":
            other.load_state_dict(loaded[0])
    assert resumed.last_epoch == scheduler.last_epoch == epochs
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    assert run(resumed, other, EPOCHS - epochs) == run(scheduler, optimizer, EPOCHS - epochs)


def test_a_saved_plateau_goes_on_as_if_nothing_had_happened():
    settings = {"patience": 2, "cooldown": 2, "factor": 0.5, "min_lr": [0.01, 0.0]}
    optimizer, other = make_optimizer(), make_optimizer(lrs=(1.0, 1.0))
    scheduler = schedules.ReduceLROnPlateau(optimizer, **settings)
    resumed = schedules.ReduceLROnPlateau(other, mode="max", patience=7)
    fresh = scheduler.state_dict()
    for k, metric in enumerate(metrics_of(0)):
        if k % 7 == 3:
            resumed.load_state_dict(save_and_load(scheduler.state_dict()))
        for each in (scheduler, resumed) if k >= 3 else (scheduler,):
            each.step(metric)
        if k >= 3:
            assert read(optimizer) == read(other)
    assert np.isinf(fresh["best"])


@every_schedule
def test_a_state_that_does_not_fit_is_refused_and_nothing_changed(name):
    optimizer = make_optimizer("AdamW")
    scheduler = MAKERS[name](schedules, optimizer)
    run(scheduler, optimizer, 2)
    state, before = scheduler.state_dict(), read(optimizer)
    repr_before = repr(scheduler)

    def refused(changed, message):
        with pytest.raises(ValueError, match=message):
            scheduler.load_state_dict(changed)
        assert read(optimizer) == before
        assert repr(scheduler) == repr_before
        for entry, value in scheduler.state_dict().items():
            np.testing.assert_array_equal(value, state[entry])

    for entry in state:
        refused({k: v for k, v in state.items() if k != entry}, f"{entry} is missing")
        refused({**state, entry: np.array(["text", "s"])}, f"{entry} is .'text', 's'. and must be")
    refused({**state, "extra": np.array(1), "last_epoch": np.array(1.5)}, "extra is unexpected")
    refused({**state, "last_epoch": np.array(-2)}, "last_epoch must be at least -1")
    refused({**state, "groups.lr": np.array([0.1, -0.1])}, "lr must be at least 0")
    refused({}, f"the state does not fit this {type(scheduler).__name__}: last_epoch is missing; ")
    with pytest.raises(TypeError, match=r"a state is a dict .* \*\*scheduler.state_dict\(\)"):
        scheduler.load_state_dict("scheduler.npz")


def test_settings_in_a_state_are_checked_too():
    optimizer = make_optimizer()
    scheduler = schedules.StepLR(optimizer, 3)
    state = scheduler.state_dict()
    for entry, value, message in (
        ("step_size", 0, "step_size must be at least 1"),
        ("step_size", 1.5, "step_size must be a whole number"),
        ("gamma", -1.0, "gamma must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            scheduler.load_state_dict({**state, entry: np.array(value)})
    scheduler.load_state_dict({**state, "gamma": np.array(0.5)})
    assert repr(scheduler) == "StepLR(step_size=3, gamma=0.5)"


def test_schedulers_are_copied_with_their_optimisers():
    optimizer = make_optimizer()
    scheduler = MAKERS["warm-up and cosine"](schedules, optimizer)
    run(scheduler, optimizer, 3)
    other, copied = copy.deepcopy((optimizer, scheduler))
    assert copied.optimizer is other
    expected = run(scheduler, optimizer, 5)
    assert run(copied, other, 5) == expected


# ---------------------------------------------------------------------------- groups, last_epoch


def test_a_group_that_comes_later_is_scheduled_from_its_own_learning_rate():
    optimizer = make_optimizer(lrs=(0.4,))
    scheduler = schedules.CosineAnnealingWarmRestarts(optimizer, 4)
    scheduler.step()
    optimizer.add_param_group({"params": mg.Tensor(0.0, requires_grad=True), "lr": 8.0})
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.2, 4.0])
    cycle = schedules.OneCycleLR(optimizer, 1.0, total_steps=9)
    optimizer.add_param_group({"params": mg.Tensor(0.0, requires_grad=True), "lr": 8.0})
    with pytest.raises(ValueError, match="max_lr has 2 numbers for 3 parameter groups"):
        cycle.step()
    assert cycle.last_epoch == 0


def test_last_epoch_goes_on_without_a_state():
    optimizer = make_optimizer()
    scheduler = schedules.ExponentialLR(optimizer, 0.5)
    run(scheduler, optimizer, 3)
    again = schedules.ExponentialLR(optimizer, 0.5, last_epoch=2)
    assert again.last_epoch == 3
    assert again.get_last_lr() == scheduler.get_last_lr()
    with pytest.raises(ValueError, match="group 0 has no 'initial_lr', which last_epoch=2 needs"):
        schedules.ExponentialLR(make_optimizer(), 0.5, last_epoch=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: schedules.StepLR(o, 0), "step_size must be at least 1, not 0"),
        (lambda o: schedules.StepLR(o, 2.0), "step_size must be a whole number, not 2.0"),
        (lambda o: schedules.StepLR(o, 2, gamma=-1), "gamma must be at least 0"),
        (lambda o: schedules.MultiStepLR(o, [2, -1]), "a milestone must be at least 0"),
        (lambda o: schedules.ConstantLR(o, 1.5), "factor must be at most 1, not 1.5"),
        (lambda o: schedules.LinearLR(o, 0.0), "start_factor must be above 0"),
        (lambda o: schedules.LinearLR(o, 0.5, 2.0), "end_factor must be at most 1"),
        (lambda o: schedules.LinearLR(o, total_iters=-1), "total_iters must be at least 0"),
        (lambda o: schedules.ExponentialLR(o, math.nan), "gamma must be at least 0"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), "T_max must be at least 1"),
        (lambda o: schedules.CosineAnnealingLR(o, 5, -1.0), "eta_min must be at least 0"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 0), "T_0 must be at least 1"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 1.5), "T_mult must be a whole"),
        (lambda o: schedules.LambdaLR(o, [0.1]), "lr_lambda must be a function"),
        (lambda o: schedules.LambdaLR(o, [abs] * 3), "lr_lambda has 3 numbers for 2 param"),
        (lambda o: schedules.LambdaLR(o, lambda epoch: -1.0), "lr_lambda must be at least 0"),
        (lambda o: schedules.OneCycleLR(o, 0.1), "give total_steps, or epochs and steps_per"),
        (lambda o: schedules.OneCycleLR(o, 0.1, 0), "total_steps must be at least 1"),
        (lambda o: schedules.OneCycleLR(o, 0.1, 9, pct_start=2.0), "pct_start must be at most 1"),
        (lambda o: schedules.OneCycleLR(o, 0.1, 9, anneal_strategy="up"), "'cos' or 'linear'"),
        (lambda o: schedules.OneCycleLR(o, [0.1] * 3, 9), "max_lr has 3 numbers for 2 param"),
        (lambda o: schedules.OneCycleLR(o, 0.1, 9, div_factor=0), "div_factor must be above 0"),
        (lambda o: schedules.ReduceLROnPlateau(o, "least"), "mode must be 'min' or 'max', not"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1.0), "factor must be .* less than 1"),
        (lambda o: schedules.ReduceLROnPlateau(o, min_lr=[0.1]), "min_lr has 1 numbers for 2"),
        (lambda o: schedules.SequentialLR(o, [], []), "there are 0 schedulers and 0 milestones"),
        (
            lambda o: schedules.SequentialLR(o, [schedules.ReduceLROnPlateau(o)], []),
            "scheduler 0 is a ReduceLROnPlateau, whose step needs a metric",
        ),
        (
            lambda o: schedules.SequentialLR(o, [schedules.StepLR(make_optimizer(), 1)], []),
            "scheduler 0, a StepLR, is that of another optimiser",
        ),
        (
            lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)] * 3, [3, 2]),
            "milestones must increase",
        ),
        (lambda o: schedules.SequentialLR(o, [o], []), "scheduler 0 is no scheduler but SGD"),
        (lambda o: schedules.StepLR(o.params[0], 1), "takes an optimiser of .*, not Tensor"),
        (lambda o: schedules.OneCycleLR(3, 1, 1), "takes an optimiser of .*, not int"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    optimizer = make_optimizer()
    with pytest.raises((ValueError, TypeError), match=message):
        make(optimizer)


def test_an_optimiser_without_momentum_cannot_cycle_it():
    optimizer = make_optimizer("Adagrad")
    with pytest.raises(ValueError, match="Adagrad has no momentum to cycle"):
        schedules.OneCycleLR(optimizer, 0.1, total_steps=5)
    schedules.OneCycleLR(optimizer, 0.1, total_steps=5, cycle_momentum=False)
