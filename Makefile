# Everything a user or a developer types. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first Python that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat requirements-dev.lock pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)
N ?= 2000
SEED ?=
ARGS ?=

.PHONY: help setup demo test check bench proof clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## make .venv with everything, from the hash-locked requirements

$(STAMP): requirements-dev.lock pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "k8tre-tui needs Python 3.11 or later: install it, or say PYTHON=/path/to/python3" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { \
		echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-*; touch $@

demo: setup ## open the program on the embedded demo cluster
	@$(BIN)/k8tre-tui --demo $(ARGS)

test: setup ## run the tests (those that need Go skip without it, and say so)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: setup ## lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## every benchmark, one line each: name, value, unit, ratio
	@for b in benchmarks/[a-z]*.py; do $(BIN)/python $$b || exit 1; done

proof: setup ## ask Cilium's own engine about N fresh random clusters: make proof N=2000 SEED=7
	@$(BIN)/python -m tests.oracle.proof --clusters $(N) $(if $(SEED),--seed $(SEED))

clean: ## remove what the targets above made
	rm -rf $(VENV) .build .hypothesis .mypy_cache .ruff_cache .pytest_cache .coverage
