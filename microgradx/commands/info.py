"""`info`: versions, the optional packages that are installed, and how to install others.

It is run when something is broken, so nothing that is broken may stop it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

from microgradx.common.messages import printable

__all__ = ["add_parser", "run"]


class Package(NamedTuple):
    """An optional package, which is used if it is installed."""

    use: str
    name: str
    module: str
    remedy: str


PACKAGES = (
    Package("pictures of graphs", "pygraphviz", "pygraphviz", 'pip install "microgradx[drawing]"'),
    Package("plots of trainings", "matplotlib", "matplotlib", 'pip install "microgradx[plots]"'),
    Package(
        "digits, iris and other data", "scikit-learn", "sklearn", 'pip install "microgradx[data]"'
    ),
    Package("data frames", "pandas", "pandas", 'pip install "microgradx[data]"'),
    Package("progress bars, tables of steps", "rich", "rich", 'pip install "microgradx[progress]"'),
    Package("arrays on many machines", "dask", "dask", 'pip install "dask[array]"'),
    Package("arrays on a GPU", "cupy", "cupy", "pip install cupy-cuda12x"),
)

#: Environment variables that set the number of threads of BLAS libraries.
BLAS_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OMP_NUM_THREADS",
)


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="show versions and optional packages",
        description="Show versions, the optional packages that are installed, and how to install "
        "others.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    lines = {
        "microgradx": _try(_version, "microgradx"),
        "Python": f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        "NumPy": f"{_try(_version, 'numpy')}, with {_try(_blas)}",
        "threads": _try(_threads),
    }
    for title, text in lines.items():
        print(f"{title:10}  {text}")
    print("\nOptional packages:")
    for package in PACKAGES:
        found = _try(_find_package, package)
        print(f"  {package.use:30}  {found or f'missing: {package.remedy}'}")
    return 0


def _try(ask: Callable[..., str], *arguments: Any) -> str:
    try:
        return printable(ask(*arguments))
    except Exception as error:
        return printable(f"unknown ({type(error).__name__}: {error})")


def _version(name: str) -> str:
    return importlib.metadata.version(name)


def _blas() -> str:
    import numpy as np

    blas: Any = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}"


def _threads() -> str:
    from microgradx.common.threads import get_num_threads

    set_for_blas = [f"{name}={os.environ[name]}" for name in BLAS_THREADS if name in os.environ]
    return ", ".join([f"{get_num_threads()} for large arrays", *set_for_blas])


def _find_package(package: Package) -> str:
    """Name and version of the package; empty if it is not installed."""
    if package.name == "pygraphviz" and (dot := shutil.which("dot")):
        return f"the program dot {_try(_dot_version, dot)}"
    if find_spec(package.module) is None:
        return ""
    # CuPy comes in several packages, named after versions of CUDA.
    (name, *_) = importlib.metadata.packages_distributions()[package.module]
    return f"{name} {_version(name)}"


def _dot_version(dot: str) -> str:
    run = subprocess.run([dot, "-V"], capture_output=True, text=True, timeout=10, check=True)
    return str(re.findall(r"version (\S+)", run.stderr)[0])
