# Each target makes what it needs: a fresh clone, Python 3.11+, a C++ compiler
# and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORE := $(wildcard ext/*.pyx ext/*.hpp src/lsst/ts/mtmount/core/*.pxd)

.PHONY: env build test test-slow test-kafka kafka demo lint clean

env: $(VENV)/.made
build: $(VENV)/.built

$(VENV)/.made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "setuptools>=77" "cython>=3.1,<4" --group test --group lint --group bench
	touch $@

$(VENV)/.built: $(VENV)/.made setup.py $(CORE)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable .
	touch $@

test: build
	$(BIN)/python -m pytest

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
	$(BIN)/cython-lint ext src
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist src/*.egg-info
	find src -name "*.so" -delete
