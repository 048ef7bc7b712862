"""Collect the implementations of a computation, compare their outputs, and time them in turns."""

from __future__ import annotations

import gc
import importlib
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

#: The denominator of every ratio: the code a good student writes.
REFERENCE = "NumPy by hand"

#: The modules of `implementations`, in the order of the rows of tables.
LIBRARIES = (
    "by_hand",
    "preallocated",
    "microgradx",
    "jax",
    "pytorch",
    "mygrad",
    "hips",
    "scikit_learn",
)

#: The number of threads for each library. It is an environment variable, as others that count must
#: be set before NumPy is imported.
THREADS = int(os.environ.get("BENCHMARKS_THREADS", "1"))


# ---------------------------------------------------------------------------- implementations


class Unavailable(Exception):
    """An implementation cannot run here: an optional part is missing."""


class Disagreement(Exception):
    """An implementation computes something else than the reference."""


class Ready(NamedTuple):
    """An implementation prepared for a problem: all that should not be timed is done."""

    #: The function to time.
    run: Callable[[], Any]
    #: Returns what it computes, by name: numbers, arrays, or lists of these. Called before `run`.
    outputs: Callable[[], Mapping[str, Any]]


_registered: dict[str, dict[str, Callable[..., Ready]]] = defaultdict(dict)


def implements(computation: str, name: str) -> Callable[[Any], Any]:
    """Decorate a function from a problem to a `Ready`: the implementation by `name`."""

    def register(prepare: Callable[..., Ready]) -> Callable[..., Ready]:
        _registered[computation][name] = prepare
        return prepare

    return register


def load_implementations(only: Iterable[str] = ()) -> dict[str, str]:
    """Import the modules of all libraries, or of `only` some; return the errors of those that fail.

    NumPy by hand, the reference, is always imported.
    """
    missing = {}
    for library in LIBRARIES:
        if only and library not in {"by_hand", *only}:
            continue
        try:
            importlib.import_module(f"benchmarks.implementations.{library}")
        except Exception as error:  # the others run whatever happens here
            missing[library] = summarise_error(error)
    return missing


def implementations(computation: str) -> dict[str, Callable[..., Ready]]:
    """All loaded implementations of a computation, by name."""
    return dict(_registered[computation])


def summarise_error(error: BaseException) -> str:
    """An error in one line."""
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, (Unavailable, Disagreement)):
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


# ---------------------------------------------------------------------------- agreement


def find_disagreement(
    outputs: Mapping[str, Any], reference: Mapping[str, Any], tolerance: float = 1e-3
) -> str | None:
    """A description of the first difference from the reference; None if the outputs agree.

    Outputs of the same name are compared. Shapes and dtypes must be equal, and the norm of the
    difference at most `tolerance` times the norm of the reference, for each array. (An element
    near 0 may be all rounding; a missing term or a wrong factor shows in the norm.)
    """
    common = [name for name in reference if name in outputs]
    if not common:
        return f"there is nothing to compare; its outputs are {', '.join(outputs) or 'none'}"
    for name in common:
        arrays, expected = _flatten(outputs[name]), _flatten(reference[name])
        if len(arrays) != len(expected):
            return f"{name}: {len(arrays)} arrays instead of {len(expected)}"
        for i, (a, b) in enumerate(zip(arrays, expected, strict=True)):
            which = f"{name} {i + 1} of {len(arrays)}" if len(arrays) > 1 else name
            if a.shape != b.shape:
                return f"{which}: shape {a.shape} instead of {b.shape}"
            if a.ndim and a.dtype != b.dtype:
                return f"{which}: {a.dtype} instead of {b.dtype}"
            error = float(np.linalg.norm(a - b))
            allowed = tolerance * float(np.linalg.norm(b)) + 1e-12
            if not error <= allowed:  # NaN is a disagreement too
                return f"{which}: off by {error:.2g}; {allowed:.2g} is allowed"
    return None


def _flatten(output: Any) -> list[np.ndarray]:
    if isinstance(output, (list, tuple)):
        return [array for part in output for array in _flatten(part)]
    return [np.asarray(output)]


# ---------------------------------------------------------------------------- measuring


@dataclass
class Effort:
    """How long to measure: the number of rounds, and the seconds of each implementation per round.

    After `limit` seconds no round is begun, except the first three. An implementation that takes
    longer than `patience` for one run is not run again.
    """

    rounds: int = 41
    seconds: float = 0.008
    limit: float = 20.0
    patience: float = 3.0


@dataclass
class Measurement:
    """The measurements of one implementation in one case, or why there are none."""

    name: str
    #: The median time of a run, divided by `per`. The ratio is the median, over rounds, of the
    #: time divided by the time of the reference in the same round; with its quartiles.
    seconds: float | None = None
    ratio: float | None = None
    quartiles: tuple[float, float] | None = None
    #: Minor page faults per run: pages that the system had to provide.
    faults: float | None = None
    #: Why there is no time.
    absent: str | None = None
    #: Whether that is a failure: an error, or outputs that differ from the reference.
    failed: bool = False
    #: Other measurements: an accuracy, bytes, …
    values: dict[str, Any] = field(default_factory=dict)


def measure(
    prepared: Mapping[str, Callable[[], Ready]],
    effort: Effort,
    *,
    reference: str = REFERENCE,
    uncompared: Mapping[str, Callable[[], Any]] | None = None,
    unit: str | None = None,
    per: int = 1,
    tolerance: float = 1e-3,
) -> list[Measurement]:
    """Prepare, compare and time implementations; failures and differences are reported.

    The outputs of all must agree with those of `reference`. Runs in `uncompared` have no outputs.
    Ratios are relative to `unit`, by default the reference.
    """
    runs = dict(uncompared or {})
    once: dict[str, float] = {}
    found = {name: Measurement(name) for name in (*runs, *prepared)}
    expected: Mapping[str, Any] = {}
    for name in sorted(prepared, key=lambda name: name != reference):  # the reference first
        try:
            run, outputs = prepared[name]()
            given = outputs()
            if name == reference:
                expected = given
            found[name].values = {k: v for k, v in given.items() if isinstance(v, float)}
            wrong = find_disagreement(given, expected, tolerance)
            if wrong is not None:
                raise Disagreement(f"disagrees with {reference}: {wrong}")
            start = time.perf_counter()
            run()
            taken = time.perf_counter() - start
        except Exception as error:  # the report shows it
            if name == reference:
                raise
            found[name].absent = summarise_error(error)
            found[name].failed = not isinstance(error, Unavailable)
            if found[name].failed:
                print(f"!!! {name}: {summarise_error(error)}", file=sys.stderr, flush=True)
            continue
        if taken > effort.patience and name != reference:
            once[name] = taken
        else:
            runs[name] = run
    times, faults = time_in_turns(runs, effort)
    for name, each in times.items():
        ratios = [a / b for a, b in zip(each, times[unit or reference], strict=True)]
        found[name].seconds = statistics.median(each) / per
        found[name].ratio = statistics.median(ratios)
        found[name].quartiles = _quartiles(ratios)
        found[name].faults = statistics.median(faults[name])
    for name, seconds in once.items():
        found[name].seconds = seconds / per
        found[name].ratio = seconds / statistics.median(times[unit or reference])
    return list(found.values())


def time_in_turns(
    runs: Mapping[str, Callable[[], Any]],
    effort: Effort,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds and page faults of a run, for each implementation in each round.

    A round runs A, then B, then C, …, so that a slow spell of the machine slows all of them. The
    garbage collector is on, as for users. Objects that exist already are frozen, as a user of one
    library has not loaded all the others.
    """
    repetitions = {name: _repetitions(run, effort.seconds, clock) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    faults: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.freeze()
    begun = clock()
    for done in range(effort.rounds):
        if done >= 3 and clock() - begun > effort.limit:
            break
        for name, run in runs.items():
            n = repetitions[name]
            before = page_faults()
            start = clock()
            for _ in range(n):
                run()
            times[name].append((clock() - start) / n)
            faults[name].append((page_faults() - before) / n)
    gc.unfreeze()
    return times, faults


def _repetitions(run: Callable[[], Any], seconds: float, clock: Callable[[], float]) -> int:
    """How many runs fill the given seconds: at least 1."""
    n = 1
    while True:
        start = clock()
        for _ in range(n):
            run()
        taken = clock() - start
        if taken >= seconds / 4:
            return max(1, round(n * seconds / taken))
        n *= 4


def _quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0


def resident_bytes() -> int:
    """The resident memory of this process, or its peak where only that is known."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if resource else 0
        return peak if sys.platform == "darwin" else 1024 * peak
