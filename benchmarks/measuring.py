"""One workload in a process of its own, which has only just begun: threads are chosen before NumPy.

    python -m benchmarks.measuring W1 result.json quick

is what `python -m benchmarks` runs for each workload.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def in_process(key: str, threads: int, *, quick: bool, only: list[str]) -> dict[str, Any]:
    """Run a workload in a new process with so many threads; gives what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        words = [key, str(result), "quick" if quick else "thorough", *only]
        command = [sys.executable, "-m", "benchmarks.measuring", *words]
        done = subprocess.run(command, env=environment(threads), stdout=sys.stderr)
        if done.returncode:
            print(f"!!! {key} failed", file=sys.stderr, flush=True)
            return {"missing": {}, "cases": {}, "failed": True}
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def environment(threads: int) -> dict[str, str]:
    """What makes every library use so many threads, and JAX the CPU.

    NumPy's BLAS always has one: what is run with two is not matrix products, and threads that BLAS
    keeps ready would be in the way of theirs.
    """
    libraries = (
        "BENCHMARKS_THREADS",
        "MICROGRADX_NUM_THREADS",
        "OMP_NUM_THREADS",  # PyTorch, and MKL
        "NPROC",  # XLA's pool of threads
    )
    blas = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    eigen = "true" if threads > 1 else "false"
    # Modules are imported as users import them, compiled before.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **own,
        **dict.fromkeys(libraries, str(threads)),
        **dict.fromkeys(blas, "1"),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
        "JAX_PLATFORMS": "cpu",
    }


def stay_on_cores(count: int) -> None:
    """Keep the process to so many cores, where the system lets it.

    What is done by one thread may still be handed to a second one and waited for, as JAX does: on
    another core, which first has to wake up, that takes longer than many a step.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


def main() -> None:
    key, path, pace, *only = sys.argv[1:]
    stay_on_cores(int(os.environ["BENCHMARKS_THREADS"]))
    from benchmarks.harness import load
    from benchmarks.workloads import WORKLOADS

    workload = WORKLOADS[key]
    missing = {} if workload.in_own_processes else load(only)
    cases = workload.measure(pace == "quick")
    measured = {
        case: [dataclasses.asdict(one) for one in measurements]
        for case, measurements in cases.items()
    }
    result = {"missing": missing, "cases": measured, "failed": False}
    Path(path).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
