"""The errors of softmax, its logarithm, the loss and its gradient, compared with mpmath.

    python -m benchmarks.accuracy

prints, for microgradx and those of PyTorch, SciPy and JAX that are installed, the largest error in
units in the last place over rows of each kind below.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np

import microgradx as mg

QUANTITIES = ("logsumexp", "log_softmax", "softmax", "loss", "gradient")
CLASSES = (2, 3, 10, 100, 1000)


def logit_rows(
    dtype: Any, seed: int = 0, repeats: int = 6
) -> Iterator[tuple[str, np.ndarray, int]]:
    """Well-conditioned rows of finite logits: the kind of row, the logits, a label.

    Rows whose result would change much with the last place of a logit are left out: those with a
    logsumexp near 0, say, which is a difference of large numbers.
    """
    generator = np.random.default_rng(seed)
    largest = float(np.finfo(dtype).max)
    for classes in CLASSES:
        for _ in range(repeats):
            z = generator.normal(size=classes)
            label = int(generator.integers(classes))
            winner = np.eye(classes)[label]
            yield "ordinary", (2 * z + 3).astype(dtype), label
            yield "confident", (z + winner * generator.uniform(10, 30)).astype(dtype), label
            yield "confidently wrong", (z + winner * 25).astype(dtype), (label + 1) % classes
            yield "shifted by 1e3", (z + 1e3).astype(dtype), label
            yield "shifted by 1e6", (z + 1e6).astype(dtype), label
            yield "shifted by -1e6", (z - 1e6).astype(dtype), label
            yield "spread over 1e4", generator.uniform(-5e3, 5e3, classes).astype(dtype), label
            huge = generator.uniform(0.2, 0.9, classes) * largest / 2
            yield "near the largest float", huge.astype(dtype), label


def exact_quantities(z: np.ndarray, label: int, temperature: float = 1.0) -> dict[str, list[Any]]:
    """The quantities of one row, to 60 digits."""
    with mpmath.workdps(60):
        logits = [mpmath.mpf(float(each)) / mpmath.mpf(temperature) for each in z]
        top = int(np.argmax(z))
        e = [mpmath.exp(each - logits[top]) for each in logits]
        total = mpmath.fsum(e)
        log_total = mpmath.log1p(mpmath.fsum(each for i, each in enumerate(e) if i != top))
        log_p = [(each - logits[top]) - log_total for each in logits]
        others = mpmath.fsum(each for i, each in enumerate(e) if i != label)
        p = [each / total for each in e]
        return {
            "logsumexp": [logits[top] + log_total],
            "log_softmax": log_p,
            "softmax": p,
            "loss": [-log_p[label]],
            "gradient": [-others / total if i == label else p[i] for i in range(len(z))],
        }


def errors_in_ulps(computed: Any, true: list[Any], dtype: Any) -> float:
    """The largest error in units in the last place of the true values that do not overflow."""
    worst = 0.0
    for value, truth in zip(np.ravel(computed), true, strict=True):
        with np.errstate(over="ignore"):
            rounded = np.asarray(float(truth)).astype(dtype)
        if not np.isfinite(rounded):
            continue
        if not np.isfinite(value):
            return float("inf")
        with mpmath.workdps(60):
            error = abs(mpmath.mpf(float(value)) - truth) / mpmath.mpf(
                float(np.spacing(abs(rounded)))
            )
        worst = max(worst, float(error))
    return worst


def compute_by_microgradx(z: np.ndarray, label: int) -> dict[str, Any]:
    logits = mg.Tensor(z[None], requires_grad=True)
    loss = mg.cross_entropy(logits, [label])
    loss.backward()
    return {
        "logsumexp": mg.logsumexp(z),
        "log_softmax": mg.log_softmax(z),
        "softmax": mg.softmax(z),
        "loss": loss.data,
        "gradient": logits.grad,
    }


def compute_by_pytorch(z: np.ndarray, label: int) -> dict[str, Any]:
    import torch

    logits = torch.tensor(z[None], requires_grad=True)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([label]))
    loss.backward()
    plain = logits.detach()[0]
    return {
        "logsumexp": torch.logsumexp(plain, 0).numpy(),
        "log_softmax": torch.log_softmax(plain, 0).numpy(),
        "softmax": torch.softmax(plain, 0).numpy(),
        "loss": loss.detach().numpy(),
        "gradient": logits.grad.numpy(),
    }


def compute_by_scipy(z: np.ndarray, label: int) -> dict[str, Any]:
    from scipy import special

    with np.errstate(all="ignore"):
        p, log_p = special.softmax(z), special.log_softmax(z)
        return {
            "logsumexp": special.logsumexp(z),
            "log_softmax": log_p,
            "softmax": p,
            "loss": -log_p[label],
            "gradient": p - np.eye(len(z), dtype=z.dtype)[label],
        }


def compute_by_jax(z: np.ndarray, label: int) -> dict[str, Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    loss, gradient = jax.value_and_grad(lambda x: -jax.nn.log_softmax(x)[label])(z)
    return {
        "logsumexp": np.asarray(jax.nn.logsumexp(z)),
        "log_softmax": np.asarray(jax.nn.log_softmax(z)),
        "softmax": np.asarray(jax.nn.softmax(z)),
        "loss": np.asarray(loss),
        "gradient": np.asarray(gradient),
    }


IMPLEMENTATIONS: dict[str, tuple[str, Callable[[np.ndarray, int], dict[str, Any]]]] = {
    "microgradx": ("microgradx", compute_by_microgradx),
    "PyTorch": ("torch", compute_by_pytorch),
    "SciPy": ("scipy", compute_by_scipy),
    "JAX": ("jax", compute_by_jax),
}


def largest_errors(
    compute: Callable[[np.ndarray, int], dict[str, Any]],
    dtype: Any,
    seed: int = 0,
    repeats: int = 6,
) -> dict[tuple[str, str], float]:
    """The largest errors, by kind of row and quantity."""
    worst: dict[tuple[str, str], float] = {}
    for kind, z, label in logit_rows(dtype, seed, repeats):
        computed, true = compute(z, label), exact_quantities(z, label)
        for quantity in QUANTITIES:
            error = errors_in_ulps(computed[quantity], true[quantity], dtype)
            worst[kind, quantity] = max(worst.get((kind, quantity), 0.0), error)
    return worst


def main() -> None:
    installed = {
        name: compute
        for name, (module, compute) in IMPLEMENTATIONS.items()
        if importlib.util.find_spec(module) is not None
    }
    for dtype in (np.float32, np.float64):
        worst = {name: largest_errors(compute, dtype) for name, compute in installed.items()}
        kinds = list(dict.fromkeys(kind for kind, _ in worst["microgradx"]))
        print(f"\n## {dtype.__name__}\n")
        print("| rows | | " + " | ".join(QUANTITIES) + " |")
        print("| --- " * (2 + len(QUANTITIES)) + "|")
        for kind in kinds:
            for name in installed:
                cells = [_format_error(worst[name][kind, quantity]) for quantity in QUANTITIES]
                print(f"| {kind} | {name} | " + " | ".join(cells) + " |")


def _format_error(error: float) -> str:
    return f"{error:.1f}" if error < 1000 else "all digits" if error > 1e6 else f"{error:.0f}"


if __name__ == "__main__":
    main()
