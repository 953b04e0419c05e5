# Everything a user or a developer types. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first Python that is new enough and can make a virtual environment, else any; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; \
	command -v python3 || echo missing)
BIN := .venv/bin
N ?= 2000
SEED ?=
ARGS ?=

.PHONY: help python setup demo test check bench proof packets clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

python:
	@[ "$(PYTHON)" != missing ] || { echo "set-up: there is no python3 here; k8tre-tui needs Python 3.11 or later: install it, or say PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "set-up: %s is Python %d.%d, and k8tre-tui needs 3.11 or later: install one, or say PYTHON=/path/to/python3" % ((sys.executable,) + sys.version_info[:2]))'

setup: python ## make .venv with everything, from the hash-locked requirements
	@"$(PYTHON)" tools/install.py --tests

demo: python ## open the program on the embedded demo cluster
	@"$(PYTHON)" tools/install.py
	@$(BIN)/k8tre-tui --demo $(ARGS)

test: setup ## run the tests (those that need Go skip without it, and say so)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: setup ## lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## every benchmark, one line each: name, value, unit, ratio; all run, and a missed bar fails at the end
	@missed=0; for b in benchmarks/[a-z]*.py; do $(BIN)/python $$b || missed=1; done; exit $$missed

proof: setup ## ask Cilium's own engine about N fresh random clusters: make proof N=2000 SEED=7
	@$(BIN)/python -m tests.oracle.proof --clusters $(N) $(if $(SEED),--seed $(SEED))

packets: setup ## let a running Cilium carry real packets, and N random clusters: make packets N=30 SEED=7 (root, Go, clang)
	@tests/testbed/build.sh $${TESTBED_BIN:-.build/testbed} kube hubble cilium
	@PACKETS_CLUSTERS=$(if $(filter command environment,$(firstword $(origin N))),$(N),30) PACKETS_SEED=$(SEED) TESTBED=required \
		$(BIN)/python -m pytest -m packets -n0 tests/testbed/cilium $(ARGS)

clean: ## remove what the targets above made
	rm -rf .venv .venv.lock .build .hypothesis .mypy_cache .ruff_cache .pytest_cache .coverage
