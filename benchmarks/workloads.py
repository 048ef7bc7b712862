"""The workloads W1 to W10: their problems, and how they are measured."""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import long_chains, problems
from benchmarks.harness import (
    THREADS,
    Effort,
    Measurement,
    Ready,
    implementations,
    measure,
    summarise_error,
)

#: For each case, the measurements of all implementations.
Cases = dict[str, list[Measurement]]


@dataclass(frozen=True)
class Workload:
    key: str
    #: The title of its table, which other workloads may share.
    table: str
    #: What is computed, in a sentence.
    about: str
    #: Measures all cases; the argument is whether to be quick.
    measure: Callable[[bool], Cases]
    #: The numbers of threads to run it with, each in its own process.
    threads: tuple[int, ...] = (1,)
    #: Whether it starts processes itself, one for each implementation.
    in_own_processes: bool = False


def measure_all(
    computation: str, problem: Any, effort: Effort, **settings: Any
) -> list[Measurement]:
    """Measure all implementations of a computation."""
    prepared = {
        name: functools.partial(prepare, problem)
        for name, prepare in implementations(computation).items()
    }
    return measure(prepared, effort, **settings)


def make_effort(quick: bool, rounds: int = 41, limit: float = 15.0) -> Effort:
    if quick:
        return Effort(max(3, rounds // 5), 0.004, limit / 4, patience=0.5)
    return Effort(rounds, 0.008, limit)


# ---------------------------------------------------------------------------- W1 to W3


def measure_training_steps(quick: bool, steps: dict[str, problems.Training]) -> Cases:
    return {
        case: measure_all("training step", training, make_effort(quick))
        for case, training in steps.items()
    }


def measure_small_step(quick: bool) -> Cases:
    return measure_training_steps(quick, {"W1, SGD": problems.moons_training()})


def measure_digits_steps(quick: bool) -> Cases:
    steps = {f"W2, {name}": problems.digits_training(name) for name in ("SGD", "Adam")}
    return measure_training_steps(quick, steps)


def measure_wide_step(quick: bool) -> Cases:
    training = problems.wide_training()
    cases = measure_training_steps(quick, {"W3, SGD": training})
    return {**cases, "W3, peak memory": measure_peak_memory(training)}


def measure_peak_memory(training: problems.Training) -> list[Measurement]:
    """The peak memory of a step beyond parameters and batch, including buffers kept between steps.

    Measured by tracemalloc, so only for libraries that compute with NumPy arrays.
    """
    parameters = sum(array.nbytes for array in training.parameters())
    found = []
    for name, prepare in implementations("training step").items():
        if name.startswith(("JAX", "PyTorch", "torch")):
            continue
        try:
            prepare(training).run()  # warm up
            tracemalloc.start()
            run = prepare(training).run
            for _ in range(3):
                tracemalloc.reset_peak()
                run()
            peak = tracemalloc.get_traced_memory()[1] - parameters
            found.append(Measurement(name, values={"bytes": peak}))
        except Exception as error:
            found.append(Measurement(name, absent=summarise_error(error)))
        finally:
            tracemalloc.stop()
    for each in found:
        if each.values:
            each.ratio = each.values["bytes"] / found[0].values["bytes"]
    return found


# ---------------------------------------------------------------------------- W4 and W5


def measure_small_ops(quick: bool) -> Cases:
    problem = problems.SmallOps(999)
    return {"per op": measure_all("small ops", problem, make_effort(quick), per=problem.n)}


def measure_chains(quick: bool) -> Cases:
    """Each chain in its own process, unless a shorter one shows that it would take too long."""
    cases: Cases = {}
    patience = 4.0 if quick else 12.0
    too_long: dict[str, str] = {}
    for n in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000):
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in long_chains.CHAINS}
        for _ in range(1 if quick else 3):
            for name, results in rounds.items():
                if name not in too_long:
                    results.append(_run_chain(name, n))
        cases[f"{n:,} nodes"] = found = []
        for name, results in rounds.items():
            one = Measurement(name, absent=too_long.get(name))
            found.append(one)
            if not results:
                continue
            if "absent" in results[0]:
                one.absent = too_long[name] = results[0]["absent"]
                continue
            taken = statistics.median(result["seconds"] for result in results)
            one.seconds = taken / n
            one.values = {
                key: value / n if key != "survivors" else value
                for key in results[0]
                for value in [statistics.median(result[key] for result in results)]
            }
            if 10 * taken > patience:
                too_long[name] = f"it would take about {10 * taken:.0f} s"
        for one in found:
            if one.seconds is not None and found[0].seconds is not None:
                one.ratio = one.seconds / found[0].seconds
    return cases


def _run_chain(name: str, n: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.long_chains", name, str(n)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        return {"absent": "stopped after 180 s"}
    if done.returncode:
        return {"absent": f"the process died, with status {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------------------- W6


ONE_COPY, NEW_COPY = "one copy of the logits", "one copy, to new memory"


def measure_cross_entropy(quick: bool) -> Cases:
    cases = {}
    for rows, classes in (128, 10), (1024, 1000), (8192, 10000):
        problem = problems.Rows(rows, classes)
        z, _ = problem.inputs()
        copy = np.empty_like(z)
        copies = {ONE_COPY: functools.partial(np.copyto, copy, z), NEW_COPY: z.copy}
        cases[f"({rows}, {classes}), {'one thread' if THREADS == 1 else 'two threads'}"] = (
            measure_all(
                "cross-entropy",
                problem,
                make_effort(quick, limit=25.0 if rows == 8192 else 10.0),
                uncompared=copies,
                unit=ONE_COPY,
            )
        )
    return cases


# ---------------------------------------------------------------------------- W7

IMPORTS = {
    "import numpy": "import numpy",
    "import microgradx": "import microgradx",
    "the same, with nn, optim and data": "import microgradx.nn, microgradx.optim, microgradx.data",
    "HIPS autograd": "import autograd.numpy",
    "JAX": "import jax.numpy",
    "scikit-learn": "import sklearn.neural_network",
    "MyGrad": "import mygrad",
    "PyTorch": "import torch",
}


def measure_imports(quick: bool) -> Cases:
    def prepare(statement: str) -> Ready:
        def run() -> int:
            command = [sys.executable, "-c", statement]
            return subprocess.run(command, check=True, stderr=subprocess.DEVNULL).returncode

        return Ready(run, lambda: {"status": run()})

    processes = {name: functools.partial(prepare, text) for name, text in IMPORTS.items()}
    cases = measure(processes, make_effort(quick, rounds=15, limit=60.0), reference="import numpy")
    for one in cases:
        if one.absent:
            one.absent = "missing"
    return {"whole process": cases}


# ---------------------------------------------------------------------------- W8 to W10


def measure_digits(quick: bool) -> Cases:
    problem = problems.digits_whole()
    # Rounding may change the predictions for a row or two of the 360.
    effort = make_effort(quick, rounds=9, limit=45.0)
    return {"30 epochs": measure_all("digits", problem, effort, tolerance=0.03)}


def measure_convolutions(quick: bool) -> Cases:
    cases = {}
    for size in 8, 28:
        images = problems.digit_images(size)
        cases[f"step, {size}×{size}"] = measure_all("cnn step", images, make_effort(quick))
    for size in 8, 28:
        layer = problems.Layer((32, 8, size, size), 16)
        cases[f"conv2d, {size}×{size}"] = measure_all("conv2d", layer, make_effort(quick))
        layer = problems.Layer((32, 8, size, size), 8)
        cases[f"max_pool2d, {size}×{size}"] = measure_all("max_pool2d", layer, make_effort(quick))
    return cases


def measure_hessian_vector_products(quick: bool) -> Cases:
    problem = problems.Curvature(problems.digits_training("SGD"))
    return {"W2's loss": measure_all("Hessian-vector product", problem, make_effort(quick))}


WORKLOADS = {
    workload.key: workload
    for workload in (
        Workload(
            "W1",
            "A training step",
            "a step of 2-16-16-2 with tanh, batches of 32 of two moons, SGD",
            measure_small_step,
        ),
        Workload(
            "W2",
            "A training step",
            "a step of 64-64-32-10 with relu, batches of 32 real digits, SGD and Adam",
            measure_digits_steps,
        ),
        Workload(
            "W3",
            "A training step",
            "a step of 784-256-128-10 with relu, batches of 128, SGD; and its peak memory",
            measure_wide_step,
        ),
        Workload(
            "W4",
            "Small ops",
            "999 ops on 8 elements (tanh, times w, plus b), forward and backward",
            measure_small_ops,
        ),
        Workload(
            "W5",
            "Long chains",
            "n additions of single numbers: forward, backward and freeing; per node",
            measure_chains,
            in_own_processes=True,
        ),
        Workload(
            "W6",
            "Cross-entropy",
            "loss and gradient of rows of logits, against copying the logits once",
            measure_cross_entropy,
            threads=(1, 2),
        ),
        Workload(
            "W7",
            "Import",
            "a whole process that imports the library, and ends",
            measure_imports,
            in_own_processes=True,
        ),
        Workload(
            "W8",
            "A whole training",
            "30 epochs of W2 with Adam on 1,437 digits, and the accuracy on 360 others",
            measure_digits,
        ),
        Workload(
            "W9",
            "Small images",
            "a step of a small convolutional network, batches of 32; conv2d (8 to 16 channels) and "
            "max_pool2d (8 channels) alone, forward and backward",
            measure_convolutions,
        ),
        Workload(
            "W10",
            "Second order",
            "the Hessian matrix of W2's loss times a vector",
            measure_hessian_vector_products,
        ),
    )
}
