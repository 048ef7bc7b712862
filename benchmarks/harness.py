"""Implementations of one computation: collected, compared with one another, timed in turns."""

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
except ImportError:  # Windows does not count page faults for us
    resource = None  # type: ignore[assignment]

#: What every ratio is to: the code a good student writes.
REFERENCE = "NumPy by hand"

#: The modules of `implementations`, in the order of the tables' rows. Libraries may be missing.
LIBRARIES = (
    "by_hand",
    "preallocated",
    "ours",
    "jax",
    "pytorch",
    "mygrad",
    "hips",
    "scikit_learn",
)

#: How many threads each library is to use: set from outside, with what else must be known before
#: NumPy is imported.
THREADS = int(os.environ.get("BENCHMARKS_THREADS", "1"))


# ---------------------------------------------------------------------------- implementations


class Unavailable(Exception):
    """Says why an implementation has no time to show: an optional part is not there."""


class Disagreement(Exception):
    """An implementation computes something else than it should."""


class Ready(NamedTuple):
    """An implementation that was given its problem, with everything outside of the clock done."""

    #: What is timed.
    run: Callable[[], Any]
    #: What it computes, by name: numbers, arrays, or lists of them. Called once, before `run`.
    answers: Callable[[], Mapping[str, Any]]


_registered: dict[str, dict[str, Callable[..., Ready]]] = defaultdict(dict)


def implements(computation: str, name: str) -> Callable[[Any], Any]:
    """Decorates a function from a problem to a `Ready`: how the library `name` does it."""

    def register(prepare: Callable[..., Ready]) -> Callable[..., Ready]:
        _registered[computation][name] = prepare
        return prepare

    return register


def load(only: Iterable[str] = ()) -> dict[str, str]:
    """Import the libraries' modules; gives those that could not be, with the reason.

    `only` names libraries, if not all are wanted. NumPy by hand always is.
    """
    missing = {}
    for library in LIBRARIES:
        if only and library not in {"by_hand", *only}:
            continue
        try:
            importlib.import_module(f"benchmarks.implementations.{library}")
        except Exception as error:  # a peer may fail in any way, and the others still run
            missing[library] = reason(error)
    return missing


def implementations(computation: str) -> dict[str, Callable[..., Ready]]:
    """All loaded implementations of a computation, by name."""
    return dict(_registered[computation])


def reason(error: BaseException) -> str:
    """An error in one line."""
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, (Unavailable, Disagreement)):
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


# ---------------------------------------------------------------------------- agreement


def disagreement(
    answers: Mapping[str, Any], reference: Mapping[str, Any], tolerance: float = 1e-3
) -> str | None:
    """Where answers differ from the reference's, in words; None where they agree.

    What both name is compared: shapes and dtypes must be equal, and the norm of the difference at
    most `tolerance` of the reference's, for each array. Norms, as an element near 0 may be all
    rounding; but a term that is missing, or a wrong factor, is seen.
    """
    common = [name for name in reference if name in answers]
    if not common:
        return f"there is nothing to compare: it gives {', '.join(answers) or 'no answers'}"
    for name in common:
        ours, theirs = _arrays(answers[name]), _arrays(reference[name])
        if len(ours) != len(theirs):
            return f"{name}: {len(ours)} arrays instead of {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            which = f"{name} {i + 1} of {len(ours)}" if len(ours) > 1 else name
            if a.shape != b.shape:
                return f"{which}: shape {a.shape} instead of {b.shape}"
            if a.ndim and a.dtype != b.dtype:
                return f"{which}: {a.dtype} instead of {b.dtype}"
            error = float(np.linalg.norm(a - b))
            allowed = tolerance * float(np.linalg.norm(b)) + 1e-12
            if not error <= allowed:  # NaN is a disagreement too
                return f"{which}: off by {error:.2g}, which may be {allowed:.2g}"
    return None


def _arrays(answer: Any) -> list[np.ndarray]:
    if isinstance(answer, (list, tuple)):
        return [array for part in answer for array in _arrays(part)]
    return [np.asarray(answer)]


# ---------------------------------------------------------------------------- measuring


@dataclass
class Effort:
    """How long to measure: so many rounds, in each of which each is run for so many seconds.

    No more rounds are begun after `limit` seconds, but for the first three. What takes longer than
    `patience` for one run is not asked to run again.
    """

    rounds: int = 41
    seconds: float = 0.008
    limit: float = 20.0
    patience: float = 3.0


@dataclass
class Measurement:
    """What is known of one implementation of one case, or why nothing is."""

    name: str
    #: The median time of a run, divided by `per`; a ratio is the median over rounds of the time
    #: divided by the reference's in the same round. With the first and third quartile.
    seconds: float | None = None
    ratio: float | None = None
    quartiles: tuple[float, float] | None = None
    #: Minor page faults of a run: pages that the system had to provide.
    faults: float | None = None
    #: Why there is no time.
    absent: str | None = None
    #: Whether that is a failure: an error, or answers that differ from the reference's.
    failed: bool = False
    #: What else a workload measures: an accuracy, bytes, …
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
    """Prepare, compare and time; what fails or disagrees is reported in its place.

    The answers of all must agree with those of `reference`. What is `uncompared` has no answers.
    Ratios are to the times of `unit`, if that is not the reference.
    """
    runs = dict(uncompared or {})
    once: dict[str, float] = {}
    found = {name: Measurement(name) for name in (*runs, *prepared)}
    expected: Mapping[str, Any] = {}
    for name in sorted(prepared, key=lambda name: name != reference):  # the reference first
        try:
            run, answers = prepared[name]()
            given = answers()
            if name == reference:
                expected = given
            found[name].values = {k: v for k, v in given.items() if isinstance(v, float)}
            wrong = disagreement(given, expected, tolerance)
            if wrong is not None:
                raise Disagreement(f"disagrees with {reference}: {wrong}")
            start = time.perf_counter()
            run()
            taken = time.perf_counter() - start
        except Exception as error:  # of a peer, or of ours: the report says which
            if name == reference:
                raise
            found[name].absent = reason(error)
            found[name].failed = not isinstance(error, Unavailable)
            if found[name].failed:
                print(f"!!! {name}: {reason(error)}", file=sys.stderr, flush=True)
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
    """The seconds and the page faults of a run, of each, in each round.

    A round runs A, then B, then C, …: what slows the machine down for a while slows all of them.
    The garbage collector is on, as users have it; but what was loaded until now is put out of
    its sight, as no user of one library has loaded all the others.
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
    """How many runs fill so many seconds: 1 at least."""
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
    """The memory of this process that is in use; where only the peak is known, that."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if resource else 0
        return peak if sys.platform == "darwin" else 1024 * peak
