# Needs Python 3.10 or newer and make. Everything else goes into .venv, or into .venv-parity,
# .venv-notebooks and .venv-bench, so that the tests run without PyTorch, JupyterLab and the peers.

# Which Python to make them with.
PYTHON ?= python3

# Paths are relative, and tools run as `python -m`, not by their scripts, whose #! line
# holds an absolute path: so the checkout may stand in a directory with spaces in its name.
RUN := .venv/bin/python -m
RUN_PARITY := .venv-parity/bin/python -m
RUN_NOTEBOOKS := .venv-notebooks/bin/python -m
RUN_BENCH := .venv-bench/bin/python -m

# A virtual environment does not survive being moved (the editable install would go on
# pointing to the old place) or losing its Python, and it must be the PYTHON asked for,
# if one is. Otherwise it is made anew.
ASKED := $(filter-out file,$(origin PYTHON))
is_usable = $(shell exec 2>/dev/null; \
	test "$$(cat $1/place)" = "$$(pwd -P)" && $1/bin/python -c 'import pip' && \
	$(if $(ASKED),test "$$("$(PYTHON)" -VV)" = "$$($1/bin/python -VV)" &&) echo yes)

# PyTorch for Linux comes with CUDA unless pip is told of PyTorch's index of builds for CPUs alone,
# by PIP_EXTRA_INDEX_URL: then pip takes 2.13.0+cpu, a tenth of the size, before 2.13.0.
TORCH := torch==2.13.0

# Whose look and marks change from release to release.
NOTEBOOKS := jupyterlab==4.6.6 marimo==0.25.2 nbconvert==7.17.2

# What microgradx is compared with besides scikit-learn, whose digits are needed anyway. One that
# cannot be installed is left out.
PEERS := autograd jax mygrad $(TORCH)

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1: /p' Makefile
	@echo 'PYTHON=... chooses the Python to use (now: $(PYTHON)).'

# Each of pytest's processes has a core; more threads for products of matrices would only wait.
test slow parity: export OMP_NUM_THREADS := 1

test: .venv/test  ## check format, style and types, run the tests and the examples in the docs
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy --strict microgradx
	$(RUN) pytest -n auto --maxprocesses 8 -m 'not slow'

slow: .venv/test  ## run the tests that take longest: sweeps, long trainings, a million ops
	$(RUN) pytest -n auto --maxprocesses 8 -m slow tests

parity: .venv-parity/torch  ## compare values and gradients with PyTorch's
	$(RUN_PARITY) pytest -m parity tests

notebooks: .venv-notebooks/jupyterlab  ## show pages in JupyterLab, nbconvert's HTML and marimo
	$(RUN_NOTEBOOKS) pytest -m notebook tests/show

demo: .venv/demo  ## train a small network; its pictures go to demo/
	$(RUN) microgradx train --out demo

bench: .venv-bench/peers  ## measure the speed beside peers'; the tables go to docs/benchmarks.md
	$(RUN_BENCH) benchmarks --out bench --page docs/benchmarks.md

format: .venv/test  ## format the code, fix what can be fixed
	$(RUN) ruff check --fix
	$(RUN) ruff format

clean:  ## remove .venv and everything else that was made
	rm -rf .venv .venv-parity .venv-notebooks .venv-bench .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist demo bench
	find . -name __pycache__ -prune -exec rm -rf {} +

# The files place, demo, test, torch, jupyterlab and peers are written last, when all before them has worked: what
# an interrupted run left half done is done again.

.SECONDEXPANSION:
.venv/place .venv-parity/place .venv-notebooks/place .venv-bench/place: %/place: $$(if $$(call is_usable,$$*),,FORCE)
	@"$(PYTHON)" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo 'microgradx: "$(PYTHON)" is not a Python >= 3.10 with venv (Debian: python3-venv); choose one with PYTHON=...' >&2; exit 1; }
	rm -rf $*
	"$(PYTHON)" -m venv $*
	@pwd -P > $@

.venv/demo: .venv/place pyproject.toml
	$(RUN) pip install --quiet --editable '.[all]'
	@touch $@

.venv/test: .venv/place pyproject.toml
	@rm -f .venv/demo
	$(RUN) pip install --quiet --editable '.[all,test]'
	@touch .venv/demo $@  # what is enough for the tests is enough for the demo

.venv-parity/torch: .venv-parity/place pyproject.toml
	$(RUN_PARITY) pip install --quiet --editable '.[data,test]'
	$(RUN_PARITY) pip install --quiet $(TORCH)
	@touch $@

.venv-notebooks/jupyterlab: .venv-notebooks/place pyproject.toml
	$(RUN_NOTEBOOKS) pip install --quiet --editable '.[drawing,test]'
	$(RUN_NOTEBOOKS) pip install --quiet $(NOTEBOOKS)
	@touch $@

# NumPy stays at the version of microgradx's environment, whatever a peer would like.
.venv-bench/peers: .venv-bench/place pyproject.toml
	$(RUN_BENCH) pip install --quiet --editable '.[plots,data]'
	@$(RUN_BENCH) pip freeze | grep -i '^numpy==' > .venv-bench/constraints
	@for peer in $(PEERS); do \
		echo "installing $$peer"; \
		$(RUN_BENCH) pip install --quiet --constraint .venv-bench/constraints $$peer || \
			echo "$$peer could not be installed: the benchmarks run without it"; \
	done
	@touch $@

FORCE:

.PHONY: help test slow parity notebooks demo bench format clean FORCE
