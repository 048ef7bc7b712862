# Needs Python 3.10 or newer and make; everything else goes into .venv.

# Which Python to make .venv with.
PYTHON ?= python3

# Paths are relative, and tools run as `python -m`, not by their scripts, whose #! line
# holds an absolute path: so the checkout may stand in a directory with spaces in its name.
RUN := .venv/bin/python -m

# A virtual environment does not survive being moved (the editable install would go on
# pointing to the old place) or losing its Python, and it must be the PYTHON asked for,
# if one is. Otherwise it is made anew.
ASKED := $(filter-out file,$(origin PYTHON))
USABLE := $(shell exec 2>/dev/null; \
	test "$$(cat .venv/place)" = "$$(pwd -P)" && .venv/bin/python -c 'import pip' && \
	$(if $(ASKED),test "$$("$(PYTHON)" -VV)" = "$$(.venv/bin/python -VV)" &&) echo yes)

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1: /p' Makefile
	@echo 'PYTHON=... chooses the Python to use (now: $(PYTHON)).'

test: .venv/test  ## check format, style and types, run the tests and the examples in the docs
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy --strict microgradx
	$(RUN) pytest -n auto --maxprocesses 8

demo: .venv/demo  ## train a small network; its pictures go to demo/
	$(RUN) microgradx train --out demo

format: .venv/test  ## format the code, fix what can be fixed
	$(RUN) ruff check --fix
	$(RUN) ruff format

clean:  ## remove .venv and everything else that was made
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist demo
	find . -name __pycache__ -prune -exec rm -rf {} +

# The files .venv/place, .venv/demo and .venv/test are written last, when all before them
# has worked: what an interrupted run left half done is done again.

.venv/place: $(if $(USABLE),,FORCE)
	@"$(PYTHON)" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo 'microgradx: "$(PYTHON)" is not a Python >= 3.10 with venv (Debian: python3-venv); choose one with PYTHON=...' >&2; exit 1; }
	rm -rf .venv
	"$(PYTHON)" -m venv .venv
	@pwd -P > $@

.venv/demo: .venv/place pyproject.toml
	$(RUN) pip install --quiet --editable '.[all]'
	@touch $@

.venv/test: .venv/place pyproject.toml
	@rm -f .venv/demo
	$(RUN) pip install --quiet --editable '.[all,test]'
	@touch .venv/demo $@  # what is enough for the tests is enough for the demo

FORCE:

.PHONY: help test demo format clean FORCE
