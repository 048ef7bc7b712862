"""Faults of the user's own step: the order of its calls, seen while it runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice, repeat
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.data import batches
from microgradx.engine import Tensor
from microgradx.graph.observers import observe
from microgradx.optim.optimizer import Optimizer
from microgradx.training.doctor.case import Case, quiet
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.preservation import preserve

__all__ = ["find_loop_faults", "modal_layers"]

#: How many steps are watched.
STEPS = 4
#: What the findings ask for.
RIGHT_ORDER = "zero_grad → forward → backward → step"


class StepObserver:
    """What happens in the user's steps: "forward", "backward", "step" and "zero_grad", in order."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.events: list[str] = []
        self.eval_forwards = 0
        self.forwards = 0
        self.accumulated = 0  # backwards that added to the gradients of a step before
        self.empty_steps = 0  # steps without any gradient
        self._used: dict[int, Array] = {}  # the gradients that the last step used, by parameter

    @property
    def parameters(self) -> list[Tensor]:
        return list(self.case.model.parameters())

    def forward(self, op: Any, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        pass

    def backward(self, out: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        if self.events and self.events[-1] == "backward":
            return
        self.events.append("backward")
        held = [p for p in self.parameters if id(p) in self._used and p.grad is not None]
        # Still there as the step left them: not reset, nor replaced by zeros.
        kept = [p for p in held if np.any(p.grad) and p.grad is self._used[id(p)]]
        self.accumulated += bool(kept)

    @contextmanager
    def watch(self) -> Iterator[None]:
        model = self.case.model
        with preserve(model, self.case.optimizer, self.case.loss), ExitStack() as stack:
            self._wrap(model, "forward", self._on_forward)
            self._wrap(model, "zero_grad", lambda: self.events.append("zero_grad"))
            stack.enter_context(observe(self))
            stack.enter_context(quiet())
            stack.enter_context(_watch_optimizers(self._on_optimizer))
            yield

    def _on_optimizer(self, optimizer: Optimizer, name: str) -> None:
        own = {id(p) for p in self.parameters}
        if optimizer is not self.case.optimizer and not any(id(p) in own for p in optimizer.params):
            return  # another model's
        if name == "step":
            self._on_step()
        else:
            self.events.append(name)

    def _wrap(self, owner: Any, name: str, before: Callable[[], Any]) -> None:
        """Put in the place of a method one that also tells what happens; `preserve` undoes it."""
        method = getattr(owner, name)

        def told(*args: Any, **kwargs: Any) -> Any:
            before()
            return method(*args, **kwargs)

        vars(owner)[name] = told

    def _on_forward(self) -> None:
        self.events.append("forward")
        self.forwards += 1
        self.eval_forwards += any(not module.training for module in self.case.model.modules())

    def _on_step(self) -> None:
        self.events.append("step")
        gradients = {id(p): p.grad for p in self.parameters if p.grad is not None}
        self.empty_steps += not gradients
        self._used = gradients


@contextmanager
def _watch_optimizers(tell: Callable[[Optimizer, str], None]) -> Iterator[None]:
    """Tell of each `step` and `zero_grad` of any optimiser, and restore those that are seen.

    The methods are wrapped in the classes, as a step need not use the optimiser that was passed.
    """
    originals = [
        (kind, name, vars(kind)[name])
        for kind in _find_subclasses(Optimizer)
        for name in ("step", "zero_grad")
        if name in vars(kind)
    ]
    seen: set[int] = set()
    inside = False  # a method that calls super()'s is one call

    with ExitStack() as stack:

        def wrap(name: str, method: Any) -> Any:
            @functools.wraps(method)
            def told(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
                nonlocal inside
                if inside:
                    return method(self, *args, **kwargs)
                if id(self) not in seen:
                    seen.add(id(self))
                    stack.enter_context(preserve(None, self))
                tell(self, name)
                inside = True
                try:
                    return method(self, *args, **kwargs)
                finally:
                    inside = False

            return told

        for kind, name, method in originals:
            setattr(kind, name, wrap(name, method))
        try:
            yield
        finally:
            for kind, name, method in originals:
                setattr(kind, name, method)


def _find_subclasses(kind: type[Optimizer]) -> list[type[Optimizer]]:
    """A class and all that inherit from it, each once."""
    below = (each for child in kind.__subclasses__() for each in _find_subclasses(child))
    return list(dict.fromkeys([kind, *below]))


def find_loop_faults(case: Case, step: Callable[..., Any]) -> Iterator[Finding]:
    """Run the user's step a few times, and say what is wrong in the order of its calls."""
    observer = StepObserver(case)
    size = min(case.batch_size, len(case.X))
    rows = batches(case.X, case.y, size, case.generator())
    passes = (batch for _ in repeat(None) for batch in rows)
    before = case.model.state_dict()
    error: Exception | None = None
    call = _caller(step)
    with observer.watch():
        try:
            for x, y in islice(passes, STEPS):
                observer.events.append("begin")
                call(x, y)
        except (ValueError, TypeError, RuntimeError, IndexError, AttributeError) as raised:
            error = raised
        after = case.model.state_dict()
    yield from _judge(case, observer, before, after, error)


def _caller(step: Callable[..., Any]) -> Callable[[Array, Array], Any]:
    try:
        inspect.signature(step).bind(None, None)
    except TypeError:
        try:
            inspect.signature(step).bind()
        except TypeError:
            raise TypeError(
                f"step must be a function of a batch, step(X, y), or of nothing, and takes "
                f"{inspect.signature(step)}; write step=lambda X, y: …"
            ) from None
        return lambda x, y: step()
    except ValueError:
        pass
    return step


def _judge(
    case: Case,
    observer: StepObserver,
    before: dict[str, Array],
    after: dict[str, Array],
    error: Exception | None,
) -> Iterator[Finding]:
    orders = _split(observer.events)
    steps = sum("step" in order for order in orders)
    order = " → ".join(orders[-1]) if orders else "nothing"
    numbers = {"steps": len(orders)}
    is_reversed = any(
        "step" in o and ("backward" not in o or o.index("step") < o.index("backward"))
        for o in orders
    ) and not all("backward" not in o for o in orders)
    if is_reversed or (error is not None and "was changed after" in str(error)):
        yield Finding(
            "step before backward",
            f"In the step given, your order was {order}: optimizer.step() uses the "
            "gradients of the batch before, or none"
            + (", and then backward() fails, as the weights were changed." if error else "."),
            f"Call loss.backward() before optimizer.step(): the order must be {RIGHT_ORDER}.",
            numbers,
        )
        return
    if error is not None:
        yield Finding(
            "the step fails",
            f"After {order} it raised {type(error).__name__}: {error}",
            "Mend the step; the message says what is wrong.",
            numbers,
        )
        return
    changes = any(
        not np.array_equal(after[path], before[path], equal_nan=True)
        for path, _ in case.model.named_parameters()
    )
    if changes and not observer.forwards:  # a compiled step
        return
    if observer.eval_forwards:
        yield from _describe_eval_mode(case, observer)
    if not any("backward" in o for o in orders):
        yield Finding(
            "no backward",
            f"In {len(orders)} calls of the step given, no gradient was computed from this model: "
            f"your order was {order}.",
            "Compute the loss from model(X), outside no_grad() and without .data, and call "
            f"loss.backward() before optimizer.step(): the order must be {RIGHT_ORDER}.",
            numbers,
        )
    elif not steps:
        if changes:  # by a rule of its own
            return
        yield Finding(
            "no step",
            f"In {len(orders)} calls of the step given, the optimiser's step() was never called: "
            f"your order was {order}.",
            "Call optimizer.step() after loss.backward(), with the optimiser of this model: the "
            f"order must be {RIGHT_ORDER}.",
            numbers,
        )
    elif observer.empty_steps == steps:
        yield Finding(
            "gradients reset before the step",
            f"optimizer.step() found no gradient in all of its {steps} calls: your "
            f"order was {order}.",
            f"Call zero_grad() before backward(), and step() after it: the order must be "
            f"{RIGHT_ORDER}.",
            numbers,
        )
    elif observer.accumulated:
        yield Finding(
            "zero_grad forgotten",
            f"In {observer.accumulated} of {len(orders)} calls of the step given, backward() added "
            "to gradients that a step before had used already, so steps follow the sum of all "
            f"gradients so far; your order was {order}.",
            "Call optimizer.zero_grad() in each step, before backward(): the order must be "
            f"{RIGHT_ORDER}.",
            {**numbers, "accumulated": observer.accumulated},
        )


def _split(events: list[str]) -> list[list[str]]:
    """The events of each call, without repetitions in a row."""
    orders: list[list[str]] = []
    for event in events:
        if event == "begin":
            orders.append([])
        elif orders and (not orders[-1] or orders[-1][-1] != event):
            orders[-1].append(event)
    return orders


def _describe_eval_mode(case: Case, observer: StepObserver) -> Iterator[Finding]:
    layers = sorted(modal_layers(case.model))
    effect = (
        f"{' and '.join(layers)} compute something else than in training."
        if layers
        else "none of its layers depends on that, so far."
    )
    yield Finding(
        "evaluation mode while training",
        f"In {observer.eval_forwards} of {observer.forwards} forward passes of the step given, the "
        f"model or a part of it was in evaluation mode: {effect}",
        "Call model.train() before training, and again after each evaluation.",
        {"in evaluation mode": observer.eval_forwards, "forward passes": observer.forwards},
        "error" if layers else "note",
    )


def modal_layers(model: Any) -> set[str]:
    """The kinds of a model's layers that compute something else in training."""
    return {
        type(module).__name__
        for module in model.modules()
        if getattr(module, "p", 0) or hasattr(module, "running_mean")
    }
