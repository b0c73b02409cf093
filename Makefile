# make demo    a small slide with known answers, profiled: the report's path and the distance from the truth
# make test    everything that needs no network and no GPU
# make quick   the same without the slow ones: under a minute
# make check   style, types, import order, size budget, documentation
# make scverse  the tests that need AnnData, SpatialData and squidpy, in .venv-scverse
# make docs    the documentation as a site, in site/ (site/index.html opens; search needs `python -m http.server -d site`)
# Each makes .venv and installs into it first; a repeat does neither. Needs Python >= 3.11 and pip's registry.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { command -v $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the tests, whole files each, of one thread each. `make test JOBS=0`: one, as plain pytest does.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0

.PHONY: demo test quick check scverse docs clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/histome demo -o out/demo

test: $(VENV)/.installed-test
	$(PYTEST) $(PYTEST_ARGS)

quick: $(VENV)/.installed-test
	$(PYTEST) -q -m "not slow" $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src tests docs runs benchmarks README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -s tests/test_budget.py tests/test_names.py
	$(MAKE) --no-print-directory docs

# In an environment of its own: anndata wants pandas under 3.
scverse: | $(BIN)/python
	$(PYTHON) -m venv $(VENV)-scverse
	$(VENV)-scverse/bin/python -m pip install --quiet --editable '.[test,scverse]' squidpy ome-zarr
	$(VENV)-scverse/bin/python -m pytest tests/exports tests/cohort/answers/test_tables.py $(PYTEST_ARGS)

# Strict: a broken link or an unknown page is an error.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) $(VENV)-scverse build dist out site

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "histome needs Python >= 3.11 with venv (Debian: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test,train,lora]'
	$(BIN)/python -m pip install --quiet --no-deps 'timm>=1.0' 'lightly>=1.5' # see `vit` in pyproject.toml
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'timm>=1.0' 'lightly>=1.5'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-test
