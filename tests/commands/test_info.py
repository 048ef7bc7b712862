"""The command `info`: versions and optional packages."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import microgradx as mg
from microgradx.commands import info


@pytest.fixture
def info_lines(run):
    """The lines that `info` prints: a dict from title to text."""

    def run_info():
        status, out, err = run("info")
        assert (status, err) == (0, "")
        lines = [line for line in out.splitlines() if line and not line.endswith(":")]
        return dict(re.split("  +", line.strip(), maxsplit=1) for line in lines)

    return run_info


def test_versions(info_lines):
    lines = info_lines()
    assert lines["Python"].startswith("{}.{}.{}".format(*sys.version_info))
    assert lines["NumPy"].startswith(f"{np.__version__}, with ")
    assert lines["threads"].startswith(f"{mg.get_num_threads()} for large arrays")


def test_optional_packages_are_those_that_the_extras_bring():
    tomllib = pytest.importorskip("tomllib")
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    brought = {
        (re.match(r"[\w-]+", requirement)[0], extra)
        for extra, requirements in extras.items()
        if extra not in ("all", "test")
        for requirement in requirements
    }
    shown = {
        (package.name, extra)
        for package in info.PACKAGES
        for extra in re.findall(r"microgradx\[(\w+)\]", package.remedy)
    }
    assert shown == brought


def test_what_is_installed_is_shown_with_its_version(info_lines, monkeypatch):
    monkeypatch.setattr(info.shutil, "which", lambda program: None)
    lines = info_lines()
    for package in info.PACKAGES:
        try:
            version = importlib.metadata.version(package.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        assert lines[package.use] == f"{package.name} {version}"


def test_what_is_missing_is_shown_with_how_to_get_it(info_lines, monkeypatch):
    monkeypatch.setattr(info.shutil, "which", lambda program: None)
    for package in info.PACKAGES:
        monkeypatch.setitem(sys.modules, package.module, None)
    lines = info_lines()
    for package in info.PACKAGES:
        assert lines[package.use] == f"missing: {package.remedy}"
        assert 34 + len(lines[package.use]) < 80


def test_the_version_of_dot_is_shown(info_lines, monkeypatch):
    monkeypatch.setattr(info.shutil, "which", {"dot": "/usr/bin/dot"}.get)

    def run_dot(command, **settings):
        assert command == ["/usr/bin/dot", "-V"]
        return subprocess.CompletedProcess(
            command, 0, "", "dot - graphviz version 12.2.1 (20241206.2353)\n"
        )

    monkeypatch.setattr(info.subprocess, "run", run_dot)
    assert info_lines()[info.PACKAGES[0].use] == "the program dot 12.2.1"


def test_nothing_that_is_broken_stops_it(info_lines, monkeypatch):
    def fail(*arguments, **settings):
        raise RuntimeError("broken")

    monkeypatch.setattr(info.importlib.metadata, "version", fail)
    monkeypatch.setattr(info.importlib.metadata, "packages_distributions", fail)
    monkeypatch.setattr(info.subprocess, "run", fail)
    monkeypatch.setattr(info.shutil, "which", lambda program: program)
    monkeypatch.setattr(info, "find_spec", lambda module: module)
    monkeypatch.setattr(np, "show_config", fail)
    monkeypatch.setattr("microgradx.common.threads._num_threads", None)
    monkeypatch.setenv("MICROGRADX_NUM_THREADS", "many")
    lines = info_lines()
    unknown = "unknown (RuntimeError: broken)"
    assert lines["microgradx"] == unknown
    assert lines["NumPy"] == f"{unknown}, with {unknown}"
    assert lines["threads"].startswith("unknown (ValueError: the environment variable")
    assert lines[info.PACKAGES[0].use] == f"the program dot {unknown}"
    assert lines[info.PACKAGES[1].use] == unknown


def test_threads_of_the_blas_library_are_shown_if_they_are_set(info_lines, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert "OPENBLAS_NUM_THREADS=3" in info_lines()["threads"]


def test_nothing_heavy_is_loaded():
    script = (
        "import sys; from microgradx.cli import main; main(['info']); "
        "print([name for name in ('sklearn', 'pandas', 'matplotlib', 'rich', 'pygraphviz', 'dask',"
        " 'cupy', 'microgradx.show') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
