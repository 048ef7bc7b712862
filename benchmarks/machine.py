"""A description of the kind of machine on which the benchmarks ran."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = {
    "jax": "JAX",
    "torch": "PyTorch",
    "mygrad": "MyGrad",
    "autograd": "HIPS autograd",
    "scikit-learn": "scikit-learn",
}


def describe_machine() -> dict[str, Any]:
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return {
        "date": date.today().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()}, {platform.machine()}",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "peers": _versions(),
    }


def _processor() -> str:
    """The processor family and the widest vectors that NumPy found."""
    name = platform.processor() or platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = re.findall(r"^model name\s*:\s*(.*)$", info, flags=re.MULTILINE)[0]
    except (OSError, IndexError):
        pass
    name = re.sub(r"\((R|TM)\)|@.*|\bCPU\b|\bProcessor\b", "", name)
    config: Any = np.show_config(mode="dicts")
    found = " ".join(config.get("SIMD Extensions", {}).get("found", ()))
    for sign, vectors in (
        ("AVX512", "AVX-512"),
        ("X86_V4", "AVX-512"),
        ("AVX2", "AVX2"),
        ("SVE", "SVE"),
    ):
        if sign in found:
            name += f" with {vectors}"
            break
    return " ".join(name.split())


def _versions() -> dict[str, str]:
    versions = {}
    for package, name in PACKAGES.items():
        try:
            versions[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    return versions
