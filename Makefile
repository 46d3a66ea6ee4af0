# Each target makes what it needs: a fresh clone, Python 3.11+, a C++ compiler
# and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORE := $(wildcard ext/*.pyx ext/*.hpp src/lsst/ts/mtmount/core/*.pxd)
# What the environment holds, and whether the package is linked into it or copied.
GROUPS_WANTED ?= test lint bench
EDITABLE ?= --editable

.PHONY: env build test test-pythons test-slow test-kafka kafka demo lint clean

env: $(VENV)/.made
build: $(VENV)/.built

$(VENV)/.made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "setuptools>=77" "cython>=3.1,<4" $(GROUPS_WANTED:%=--group %)
	touch $@

$(VENV)/.built: $(VENV)/.made setup.py $(CORE) $(if $(EDITABLE),,$(shell find src -name "*.py" -o -name "*.csv"))
	$(BIN)/python -m pip install --quiet --no-build-isolation $(EDITABLE) .
	touch $@

test: build
	$(BIN)/python -m pytest

# The fast suite on other Python versions, where the machine has them.
PYTHONS ?= 3.12 3.13
test-pythons:
	@for version in $(PYTHONS); do \
	    if python=$$(tools/find_python $$version); then \
	        $(MAKE) test VENV=.venv-$$version PYTHON=$$python GROUPS_WANTED=test || exit 1; \
	    fi; \
	done

test-slow: build
	$(BIN)/python -m pytest -m "slow"

# A real Kafka and schema registry, fetched once; needs Java 17 and Maven.
test-kafka: build
	$(BIN)/python -m pytest -m "kafka"

# Runs them until Ctrl-C, e.g. KAFKA_OPTIONS="--brokers 3 --sasl --tls".
kafka: build
	$(BIN)/python -m tests.integration.kafka $(KAFKA_OPTIONS)

demo: build
	$(BIN)/python -m lsst.ts.mtmount.commands.demo

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/cython-lint ext src
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .venv-debug .venv-sanitize .venv-fuzz build dist src/*.egg-info
	find src -name "*.so" -delete
