# Each target does its own set-up on a machine that has Python >= 3.11 with venv, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

PORT ?= 8080
AD_PORT ?= 8081
DATA_DIR ?= .data/demo
export PORT AD_PORT DATA_DIR
FUZZ_SECONDS ?= 600
# Of pql, tcf, body, cookies, jwt; without any all of them share the time.
FUZZ_TARGET ?=
SOAK ?=

.PHONY: help demo setup compiled tools test check format bench fuzz mutants soak clean

help:
	@echo "make demo    the demo site, on http://127.0.0.1:$(PORT) (PORT, AD_PORT, DATA_DIR change where)"
	@echo "make test    everything, with the tools it needs (Chromium, Node.js; apt when root)"
	@echo "make check   format, lint, types, imports"
	@echo "make bench   what one lookup, rule set and request cost; kept in bench/results.jsonl"
	@echo "make mutants small breaks of the code, each of which a test has to notice"
	@echo "make soak    for an hour: kills, power cuts, revocations, histories (SOAK=kills for one)"
	@echo "make fuzz    random inputs for FUZZ_SECONDS (600), for FUZZ_TARGET: pql, tcf, body, cookies, jwt"
	@echo "make setup   the development environment in $(VENV)"

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Perso needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(PIP) install -e .
	@touch $@

$(VENV)/.setup: $(VENV)/bin/python pyproject.toml hatch_build.py
	$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	@exec $(BIN)/python -m demo_site

setup: $(VENV)/.setup compiled

# The rules' hot path as C, anew where its sources have changed; without a compiler nothing.
compiled: $(VENV)/.setup
	@$(BIN)/python hatch_build.py

# What the tests need beyond Python: Chromium, Node.js, strace and wrk through apt (as root),
# the Adobe Web SDK and axe-core through npm from the lock file.
tools: compiled
	@sh tests/install-tools.sh

# Two processes, whatever the machine has: each begins with half the tests, and the one that is done
# takes over part of the other's. `python -m pytest` alone runs them one after the other.
test: tools
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.bench: $(VENV)/.setup
	$(PIP) install -e '.[bench]'
	@touch $@

bench: tools $(VENV)/.bench
	$(BIN)/python -m bench

$(VENV)/.fuzz: $(VENV)/.setup
	$(PIP) install -e '.[fuzz]'
	@touch $@

# Random inputs at low priority; what breaks or is slow is kept in .data/fuzz.
fuzz: $(VENV)/.fuzz compiled
	nice -n 19 $(BIN)/python -m tests.fuzz $(FUZZ_TARGET) --seconds $(FUZZ_SECONDS)

# Each small break kept in tests/mutants: the test named with it has to go red.
mutants: tools
	$(BIN)/python -m tests.mutants

# Those tests that can go on for longer, each within its time, for SOAK: names; without any all.
soak: tools
	$(BIN)/python -m tests.soak $(SOAK)

clean:
	rm -rf $(VENV) node_modules .data build dist
