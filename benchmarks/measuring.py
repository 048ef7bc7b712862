"""One workload in its own process, so that threads are set before NumPy is imported.

    python -m benchmarks.measuring W1 result.json quick

`python -m benchmarks` runs this for each workload.
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


def run_in_process(key: str, threads: int, *, quick: bool, only: list[str]) -> dict[str, Any]:
    """Run a workload in a new process with the given number of threads; return its results."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        words = [key, str(result), "quick" if quick else "thorough", *only]
        command = [sys.executable, "-m", "benchmarks.measuring", *words]
        done = subprocess.run(command, env=make_environment(threads), stdout=sys.stderr)
        if done.returncode:
            print(f"!!! {key} failed", file=sys.stderr, flush=True)
            return {"missing": {}, "cases": {}, "failed": True}
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def make_environment(threads: int) -> dict[str, str]:
    """Environment variables that set the threads of every library, and put JAX on the CPU.

    BLAS always has one thread: the workloads that run with two have no matrix products, and idle
    threads of BLAS would slow them down.
    """
    libraries = (
        "BENCHMARKS_THREADS",
        "MICROGRADX_NUM_THREADS",
        "OMP_NUM_THREADS",  # PyTorch, and MKL
        "NPROC",  # XLA's pool of threads
    )
    blas = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    eigen = "true" if threads > 1 else "false"
    # Users import modules that are compiled already.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **own,
        **dict.fromkeys(libraries, str(threads)),
        **dict.fromkeys(blas, "1"),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
        "JAX_PLATFORMS": "cpu",
    }


def stay_on_cores(count: int) -> None:
    """Restrict the process to `count` cores, where the system allows it.

    JAX hands work to a second thread and waits. If that ran on another core, which has to wake up
    first, it would take longer than many a step.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


def main() -> None:
    key, path, pace, *only = sys.argv[1:]
    stay_on_cores(int(os.environ["BENCHMARKS_THREADS"]))
    from benchmarks.harness import load_implementations
    from benchmarks.workloads import WORKLOADS

    workload = WORKLOADS[key]
    missing = {} if workload.in_own_processes else load_implementations(only)
    cases = workload.measure(pace == "quick")
    measured = {
        case: [dataclasses.asdict(one) for one in measurements]
        for case, measurements in cases.items()
    }
    result = {"missing": missing, "cases": measured, "failed": False}
    Path(path).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
