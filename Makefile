# Everything a newcomer or CI runs. `make help` explains each target.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECONDS_ ?= $(if $(filter command line,$(origin SECONDS)),$(SECONDS),)
STAMP := $(VENV)/.locked
PEER := .cache/peer

help: ## Show what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.11"; exit 1; }
	@echo "Setting up $(VENV) from requirements-dev.lock …"
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: sudo apt install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP) ## Make the virtual environment from the lock file

pbx: $(STAMP) ## Provision a real Asterisk under .cache/ (once; no root needed)
	@$(BIN)/python -m tests.pbx.provision

postgres: $(STAMP) ## Provision a real PostgreSQL for the tests under .cache/ (once; no root needed)
	@$(BIN)/python -m tests.pg.provision

mariadb: $(STAMP) ## Provision a real MariaDB for the tests under .cache/ (once; no root needed)
	@$(BIN)/python -m tests.mariadb.provision

demo: $(STAMP) ## A small call centre on a real Asterisk, live in this terminal (make demo SECONDS=40 ends by itself)
	@$(BIN)/python -m tests.demo $(if $(SECONDS_),--seconds $(SECONDS_))

test: $(STAMP) pbx postgres mariadb ## All tests: pure, on recorded streams, against the real Asterisk; the short soak alone, at the end
	@$(BIN)/pytest -m 'not alone' --numprocesses 3 --dist loadfile --no-loadscope-reorder
	@$(BIN)/pytest -m alone

bench: $(STAMP) pbx ## Measure the daemon beside a real Asterisk under load: a table, and one JSON object per figure
	@$(BIN)/python -m compileall -q cti config metrics routing store # as an installed package is
	@$(BIN)/python -m tests.bench

$(PEER)/.locked: requirements-peer.lock
	@$(PYTHON) -m venv $(PEER)
	@$(PEER)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-peer.lock
	@touch $@

comparison: $(STAMP) $(PEER)/.locked ## Give the recorded calls to cacofonisk too, and write docs/comparison.md
	@$(BIN)/python -m tests.peer $(PEER)/bin/python

soak: $(STAMP) pbx ## Thousands of calls while everything breaks, held against the books (make soak CALLS=3000 KILLS=20 SEED=1)
	@$(BIN)/python -m tests.soak $(if $(CALLS),--calls $(CALLS)) $(if $(KILLS),--kills $(KILLS)) $(if $(CUTS),--cuts $(CUTS)) $(if $(SEED),--seed $(SEED))

check: $(STAMP) ## Format, lint, types, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory test

format: $(STAMP) ## Format and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Recompute the lock files from pyproject.toml (and the peer's, from its version here)
	@$(PYTHON) -m venv .cache/lock && .cache/lock/bin/pip install --quiet uv
	@.cache/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -q pyproject.toml -o requirements.lock
	@.cache/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -q --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@echo cacofonisk==0.7.10 | .cache/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -q -c requirements.lock - -o requirements-peer.lock

clean: ## Remove the virtual environment and caches (the unpacked PBX too)
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

.PHONY: help setup pbx postgres mariadb demo test bench soak comparison check format lock clean
