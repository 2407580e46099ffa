# Only make and Python >= 3.10 are needed: `make run`, `make test PYTHON=python3.12`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DOCS := $(VENV)/docs-ready

# Where it is set, every program of the tests would compile all modules anew: a third of what a small one takes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test torture lowest lint docs bench lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 14

run: $(READY)  ## train PAIR-LeNet on the embedded digits, evaluate it, print the path of the report
	$(BIN)/python train.py model=pair_lenet

test: $(READY)  ## run the tests, but for those marked slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

torture: $(READY)  ## kill runs, feed them hostile files, take away their disk: 300 trials, SEED=0 draws the moments
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python tests/torture --seed $(or $(SEED),0)

# Of what this project asks for itself, each in its lowest version: what it says it needs is enough. Old versions among
# new ones warn of each other, which is no fault of ours.
lowest: $(READY)  ## run the tests with the lowest versions that pyproject.toml allows
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) build/lowest
	$(BIN)/uv pip install --quiet --python build/lowest --resolution lowest-direct --editable '.[dev]'
	OMP_NUM_THREADS=1 build/lowest/bin/python -m pytest -W ignore::DeprecationWarning -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DOCS)  ## build the site of docs/ into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo build/site/index.html

bench: $(READY)  ## measure the ratios of benchmarks/README.md
	$(BIN)/python -m benchmarks

# Versions only, of the public registry, for every Python and platform that is supported: no setting
# of this machine may leak into it.
lock: $(READY)  ## resolve the newest versions into requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --all-extras --upgrade --no-config --no-python-downloads \
		--no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file requirements.lock

clean:  ## remove the environment and caches, never results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python >= 3.10 is needed: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $@

$(DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[docs]'
	touch $@
