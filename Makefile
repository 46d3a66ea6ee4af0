# Each target makes what it needs: a fresh clone, Python 3.11+, a C++ compiler
# and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORE := $(wildcard ext/*.pyx ext/*.hpp src/lsst/ts/mtmount/core/*.pxd tests/fuzz/*.cc)
# What the environment holds, and whether the package is linked into it or copied.
GROUPS_WANTED ?= test lint bench
EDITABLE ?= --editable

.PHONY: env build test test-pythons test-slow test-kafka kafka demo stress soak faults bench bench-quick bench-pace bench-steps bench-guard debug sanitize fuzz lint lint-cpp clean

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
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

# The fast suite on other Python versions, where the machine has them.
PYTHONS ?= 3.12 3.13
test-pythons:
	@for version in $(PYTHONS); do \
	    if python=$$(tools/find_python $$version); then \
	        $(MAKE) test VENV=.venv-$$version PYTHON=$$python GROUPS_WANTED=test || exit 1; \
	    fi; \
	done

test-slow: build
	$(BIN)/python -m pytest -m "slow and not kafka" $(PYTEST_OPTIONS)

# A real Kafka and schema registry, fetched once; needs Java 17 and Maven.
test-kafka: build
	$(BIN)/python -m pytest -m "kafka and not slow" $(PYTEST_OPTIONS)

# All tests of faults, and a table of what was measured; some ten minutes.
# FAULTS_OPTIONS="--update doc/reliability.md" puts the table into the document.
faults: build
	$(BIN)/python -m tests.faults $(FAULTS_OPTIONS)

# Runs them until Ctrl-C, e.g. KAFKA_OPTIONS="--brokers 3 --sasl --tls".
kafka: build
	$(BIN)/python -m tests.integration.kafka $(KAFKA_OPTIONS)

demo: build
	$(BIN)/python -m lsst.ts.mtmount.commands.demo $(DEMO_OPTIONS)

# Wants a quiet machine, e.g. STRESS_OPTIONS="--duration 60 --compare plain".
stress: build
	$(BIN)/python -m lsst.ts.mtmount.commands.stress --output build/stress $(STRESS_OPTIONS)

# Half an hour, e.g. SOAK_OPTIONS="--duration 600".
soak: build
	$(BIN)/python -m lsst.ts.mtmount.commands.soak --output build/soak $(SOAK_OPTIONS)

# Tables and charts go to doc/benchmarks; wants a quiet machine.
bench: build
	$(BIN)/python -m bench

bench-quick: build
	$(BIN)/python -m bench --quick

# What the full rate costs with several lingers; four minutes, wants a quiet machine.
bench-pace: build
	$(BIN)/python -m bench.pace $(PACE_OPTIONS)

# What each step on the way to the present design bought, and what was tried and left.
bench-steps: build
	$(BIN)/python -m bench.steps

# Instruction counts; needs valgrind.
bench-guard: build
	$(BIN)/python -m bench.guard $(GUARD_OPTIONS)

# The core in builds of its own, each in an environment of its own.
# Checks of bounds, assertions and line tracing; its records must be the same.
debug: build
	MTMOUNT_DEBUG=1 $(MAKE) VENV=.venv-debug EDITABLE= GROUPS_WANTED=test build
	.venv-debug/bin/python -m pytest tests/core tests/hostile $(PYTEST_OPTIONS)
	$(BIN)/python -m tests.records_digest --same-as .venv-debug/bin/python

# AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer of GCC. Python's
# own allocator would hide objects from them, and pytest what they report.
sanitize:
	MTMOUNT_SANITIZE=address,undefined $(MAKE) VENV=.venv-sanitize EDITABLE= GROUPS_WANTED=test build
	PYTHONMALLOC=malloc UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    ASAN_OPTIONS=detect_leaks=1:malloc_context_size=2 \
	    LSAN_OPTIONS=suppressions=tests/leaks.supp:print_suppressions=0 \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    .venv-sanitize/bin/python -m pytest --capture=sys tests/core tests/hostile $(PYTEST_OPTIONS)

# Under both sanitizers and libFuzzer, so long for each target [s].
FUZZ_SECONDS ?= 60
fuzz:
	MTMOUNT_FUZZ=1 MTMOUNT_SANITIZE=address,undefined \
	    $(MAKE) VENV=.venv-fuzz EDITABLE= GROUPS_WANTED="test fuzz" build
	.venv-fuzz/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_OPTIONS)

lint: build lint-cpp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/cython-lint ext src
	$(BIN)/mypy

lint-cpp:
	@for header in ext/*.hpp; do \
	    echo "#include \"$$header\"" | $(CXX) -std=c++17 -fsyntax-only -I. -x c++ - \
	        -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wsign-compare -Wshadow -Werror || exit 1; \
	done

clean:
	rm -rf $(VENV) .venv-debug .venv-sanitize .venv-fuzz build dist src/*.egg-info
	find src -name "*.so" -delete
