"""Targets for the speed of microgradx, and whether the measurements meet them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.harness import Measurement

EAGER, COMPILED = "microgradx", "microgradx, compiled"
JAX = ("JAX, jit", "JAX, jit of one vector")

Cases = Mapping[str, list[Measurement]]


@dataclass(frozen=True)
class Target:
    case: str
    implementation: str
    at_most: float
    #: "ratio", of times or bytes to the unit of the case, or another measurement of the case.
    quantity: str = "ratio"
    #: If given, the ratio is to the fastest of these, and not to the unit of the case.
    than: tuple[str, ...] = ()

    def measured_value(self, cases: Cases) -> float | None:
        found = {one.name: one for one in cases.get(self.case, ())}
        one = found.get(self.implementation)
        if one is None or one.absent is not None:
            return None
        if self.quantity == "µs":
            return None if one.seconds is None else 1e6 * one.seconds
        if self.quantity != "ratio":
            return one.values.get(self.quantity)
        if not self.than:
            return one.ratio
        others = [found[name].ratio for name in self.than if name in found]
        best = min((ratio for ratio in others if ratio is not None), default=None)
        return None if one.ratio is None or best is None else one.ratio / best

    def verdict(self, cases: Cases) -> str:
        value = self.measured_value(cases)
        if value is None:
            return "not measured"
        if value <= self.at_most:
            return "met"
        return f"not met, {value / self.at_most - 1:.0%} above"


STEPS = ("W1, SGD", "W2, SGD", "W2, Adam", "W3, SGD")

TARGETS = (
    *(
        Target(case, EAGER, at_most)
        for case, at_most in zip(STEPS, (0.70, 0.80, 0.55, 1.0), strict=True)
    ),
    *(
        Target(case, COMPILED, at_most)
        for case, at_most in zip(STEPS, (0.31, 0.50, 0.36, 0.96), strict=True)
    ),
    # Ahead of JAX on the small networks, and level with it on the wide one.
    *(
        Target(case, COMPILED, at_most, than=JAX)
        for case, at_most in zip(STEPS, (1.0, 1.0, 1.0, 1.05), strict=True)
    ),
    *(Target(case, COMPILED, 1.0, than=("torch.compile",)) for case in STEPS),
    Target("W3, peak memory", EAGER, 1.2),
    Target("per op", EAGER, 1.40),
    Target("per op", COMPILED, 0.65),
    Target("1,000,000 nodes", EAGER, 2.5, "µs"),
    Target("1,000,000 nodes", EAGER, 300, "bytes"),
    Target("(128, 10), one thread", EAGER, 45),
    Target("(1024, 1000), one thread", EAGER, 11),
    Target("(8192, 10000), one thread", EAGER, 3.2),
    Target("(8192, 10000), two threads", EAGER, 1.8),
    Target("whole process", "import microgradx", 1.1),
    Target("30 epochs", EAGER, 0.55),
    Target("30 epochs", COMPILED, 0.40),
    *(
        Target(f"{what}, {size}×{size}", EAGER, 1.0, than=("PyTorch",))
        for what in ("step", "conv2d", "max_pool2d")
        for size in (8, 28)
    ),
)
