# Everything runs on a fresh machine with Python 3.10 or newer and make:
#
#   make demo       deploy with the real Flash to a stand-in control plane, and show the trace
#   make test       prepare what the tests share (once), then run all tests in random order
#   make check      linter, formatter and type checker; collect the tests twice and compare
#   make collector  build the real Collector and Jaeger for the tests against them (needs Go)
#   make engines    install OpenSearch and Kafka for the tests behind them (needs Maven and Java 17)
#   make jaeger-ui  run both with the web UI that was built in a folder: UI=FOLDER
#   make matrix     inject every fault, diagnose it from each source, print the confusion matrix
#   make likeness   compare deployments with and without flash_otel, over versions and failures
#   make bounds     try the lowest and highest versions of every dependency, with each Python
#   make versions   deploy with every published version of Flash, and write docs/versions.md
#   make fuzz       diagnose 200,000 generated logs and recordings: FUZZ_ARGS="--cases N --seed S"
#   make load       send recorded deployments to an OTLP endpoint: LOAD_ARGS="--endpoint URL"
#   make bench      measure speed and size next to their peers, and write docs/performance.md
#   make soak       ten minutes of deployments and workers against a failing collector
#   make tier       kill, fill and slow the programs of the tier beyond one machine, and count losses
#   make page       build the script and the style sheet of `show --html` from page/ (needs Node)
#   make mutants    plant bugs at random, and list those that no fast test notices
#
# PYTHON=/path/to/python chooses the interpreter, VENV=folder the place of the environment,
# PYTEST_ARGS="tests/report -k fold" some of the tests, and --random-order-seed=N in it their order.
# CONTRIBUTING.md lists how long each command takes.

VENV ?= .venv
# Environments with Flash, for the tests; shared by checkouts, and with the demo, if it is set.
export FLASH_OTEL_CACHE ?= $(CURDIR)/.cache
# Hundreds of processes import the package: each would compile it again.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 10))

.DEFAULT_GOAL := help
.PHONY: help demo demo-plan test check bench measure collector jaeger-ui engines page soak load tier matrix likeness versions bounds fuzz mutants plant clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

# Without a cache that the user named, the same one as of the commands that the demo suggests.
demo: demo-plan $(STAMPS)/demo
	@$(if $(filter file,$(origin FLASH_OTEL_CACHE)),FLASH_OTEL_CACHE= )$(BIN)/flash-otel demo healthy

demo-plan:
	@[ -e $(STAMPS)/demo ] || printf '%s\n' \
	  "make demo installs, once:" \
	  "  flash_otel and what it needs (about 50 packages, 70 MB): $(VENV)" \
	  "  runpod-flash and what it needs (about 110 packages, 150 MB): your cache; the demo names the folder" \
	  "To remove them: rm -rf $(VENV), and the command that the demo prints"

# A worker keeps the tests of a module together, and takes over others when it has run out of them.
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

# In an environment of its own, too: mutmut is for this command alone.
mutants:
	@$(MAKE) --no-print-directory VENV=$(VENV)-mutants plant

plant: $(STAMPS)/mutants
	$(BIN)/python benchmarks/mutants.py $(MUTANTS_ARGS)

collector: $(STAMPS)/venv
	@$(BIN)/python collector/tools/build.py otelcol jaeger

engines: $(STAMPS)/venv
	@$(BIN)/python collector/tools/build.py opensearch kafka

jaeger-ui: $(STAMPS)/dev
	@[ -f "$(UI)/index.html" ] || { \
	  echo "make: UI=FOLDER names the folder of a built Jaeger UI, with its index.html (docs/jaeger.md)." >&2; \
	  exit 2; \
	}
	@JAEGER_UI_ASSETS=$$(cd "$(UI)" && pwd) $(BIN)/flash-otel collector up --engine programs

page: page/node_modules/.package-lock.json
	cd page && npx biome check src build.js && node build.js

page/node_modules/.package-lock.json: page/package.json page/package-lock.json
	cd page && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

soak: $(STAMPS)/dev
	$(BIN)/python benchmarks/soak.py $(SOAK_ARGS)

tier: $(STAMPS)/dev
	$(BIN)/python benchmarks/tier_faults.py $(TIER_ARGS)

load: $(STAMPS)/dev
	$(BIN)/python benchmarks/load $(LOAD_ARGS)

matrix: $(STAMPS)/dev
	@PYTHONPATH=tests $(BIN)/python -m e2e.matrix

likeness: $(STAMPS)/dev
	@PYTHONPATH=tests:benchmarks $(BIN)/python -m e2e.likeness

bounds: $(STAMPS)/dev
	@PYTHONPATH=tests $(BIN)/python -m bounds

versions: $(STAMPS)/dev
	@PYTHONPATH=tests:benchmarks $(BIN)/python -m e2e.versions --write docs/versions.md

fuzz: $(STAMPS)/dev
	@PYTHONPATH=tests $(BIN)/python -m diagnosis.fuzz $(FUZZ_ARGS)

clean:
	rm -rf $(VENV) $(VENV)-bench $(VENV)-mutants mutants

# An existing environment is kept; the stamp only records that there is one.
$(STAMPS)/venv:
	@python=$$(for candidate in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python3.10 python; do \
	  [ -n "$$candidate" ] && "$$candidate" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$candidate" && break; \
	  [ -z "$$candidate" ] || [ "$$candidate" != "$(PYTHON)" ] || break; \
	done); \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.10 or newer $(if $(PYTHON),at PYTHON=$(PYTHON),on PATH; name one: make PYTHON=/path/to/python)." >&2; \
	  exit 2; \
	fi; \
	[ -x $(BIN)/python ] || "$$python" -m flash_otel.demo.progress \
	  "Making a virtual environment: $(VENV)" "$$python" -m venv $(VENV) || { \
	  echo "make: $$python could not make a virtual environment (Debian and Ubuntu: apt install python3-venv)." >&2; \
	  rm -rf $(VENV); exit 2; \
	}
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml
	@$(BIN)/python -m flash_otel.demo.packages "Installing flash_otel: $(VENV)" --editable '.[demo]'
	@touch $@

$(STAMPS)/bench: $(STAMPS)/venv pyproject.toml requirements/bench.txt
	$(INSTALL) --requirement requirements/bench.txt --editable '.[demo]'
	@touch $@

$(STAMPS)/mutants: $(STAMPS)/venv pyproject.toml requirements/dev.txt requirements/mutants.txt
	$(INSTALL) --requirement requirements/dev.txt --requirement requirements/mutants.txt --editable .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml requirements/dev.txt
	$(INSTALL) --requirement requirements/dev.txt --editable .
	@touch $@
