# Three verbs that do everything on a fresh machine with Python 3.10 or newer and make:
#
#   make demo    run a real deployment against a stand-in control plane, and show its trace
#   make test    run the tests
#   make check   run linter, formatter and type checker, and collect the tests twice
#
# Two more. For every goal of speed and size, beside its peer (half an hour, on an idle machine):
#
#   make bench   measure, in an environment of its own (VENV-bench), and write docs/performance.md
#
# For the tests against the real Collector and Jaeger (without it they are skipped):
#
#   make collector  build both, into .cache/collector; needs Go, and minutes, once
#
# And one for the patient:
#
#   make soak    ten minutes of deployments and workers against a collector that fails at random
#
# And one that sends recorded deployments, with fresh ids and times, to an OTLP endpoint:
#
#   make load    LOAD_ARGS="--endpoint http://localhost:4318 --deployments 100 --rate 1000"
#
# And one that injects every fault, diagnoses it from each source, and prints the confusion matrix:
#
#   make matrix  the table of docs/matrix.md; about five minutes
#
# PYTHON=/path/to/python chooses the interpreter, VENV=folder where the environment lives.

VENV ?= .venv
# Environments with Flash, for the demo and the tests alike; shared by checkouts if it is set.
export FLASH_OTEL_CACHE ?= $(CURDIR)/.cache
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 10))

.DEFAULT_GOAL := help
.PHONY: help demo test check bench measure collector soak load matrix clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(STAMPS)/demo
	$(BIN)/flash-otel demo healthy

# Modules in random order, and the tests of each; --random-order-seed=N repeats an order.
test: $(STAMPS)/dev
	@$(BIN)/python tests/prepare.py
	$(BIN)/python -m pytest -n auto --dist worksteal --random-order --durations=10 $(PYTEST_ARGS)

check: $(STAMPS)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tests/collection.py

# In an environment of its own: a peer brings plugins that the tests must not load.
bench:
	@$(MAKE) --no-print-directory VENV=$(VENV)-bench measure

measure: $(STAMPS)/bench
	$(BIN)/python benchmarks --write docs/performance.md

collector: $(STAMPS)/venv
	@$(BIN)/python collector/tools/build.py

soak: $(STAMPS)/dev
	$(BIN)/python benchmarks/soak.py $(SOAK_ARGS)

load: $(STAMPS)/dev
	$(BIN)/python benchmarks/load $(LOAD_ARGS)

matrix: $(STAMPS)/dev
	@PYTHONPATH=tests $(BIN)/python -m e2e.matrix

clean:
	rm -rf $(VENV) $(VENV)-bench

# An environment that exists is kept, whoever made it; the stamp only says that it does.
$(STAMPS)/venv:
	@python=$$(for candidate in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python3.10 python; do \
	  [ -n "$$candidate" ] && "$$candidate" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$candidate" && break; \
	  [ -z "$$candidate" ] || [ "$$candidate" != "$(PYTHON)" ] || break; \
	done); \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.10 or newer $(if $(PYTHON),at PYTHON=$(PYTHON),on PATH; name one: make PYTHON=/path/to/python)." >&2; \
	  exit 2; \
	fi; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV) || { \
	  echo "make: $$python could not make a virtual environment (Debian and Ubuntu: apt install python3-venv)." >&2; \
	  rm -rf $(VENV); exit 2; \
	}
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml
	$(INSTALL) --editable '.[demo]'
	@touch $@

$(STAMPS)/bench: $(STAMPS)/venv pyproject.toml requirements/bench.txt
	$(INSTALL) --requirement requirements/bench.txt --editable '.[demo]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml requirements/dev.txt
	$(INSTALL) --requirement requirements/dev.txt --editable .
	@touch $@
