# Each target makes what it needs: a fresh clone, Python 3.11+, a C++ compiler
# and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORE := $(wildcard ext/*.pyx ext/*.hpp src/lsst/ts/mtmount/core/*.pxd tests/fuzz/*.cc)
# Whether the package is linked into the environment or copied.
EDITABLE ?= --editable
# Groups of packages (pyproject.toml) that an environment gets beside the package.
TEST := $(VENV)/.group-test
LINT := $(VENV)/.group-lint $(VENV)/.group-bench $(TEST)
BENCH := $(VENV)/.group-bench $(TEST)

.DEFAULT_GOAL := help
.PHONY: help build test test-pythons test-clang test-slow test-kafka kafka check-faults docs screenshots wheels completions demo \
    stress soak faults bench bench-quick bench-pace bench-growth bench-recording bench-steps bench-guard evidence debug sanitize fuzz \
    lint lint-cpp release-checks release-tools check-environment clean
# What a recipe cannot finish must not look finished.
.DELETE_ON_ERROR:
# Two pips in one environment disturb each other; compiler and tests use all processors by themselves.
.NOTPARALLEL:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(VENV)/.built  ## build the package into the environment $(VENV)

# An environment that is there is used if it is where it was made, and of the Python that is asked for.
check-environment:
	@tools/check_environment $(VENV) "$(if $(and $(wildcard $(VENV)/.made),$(filter file,$(origin PYTHON))),,$(PYTHON))"

$(VENV)/.made: | check-environment
	@tools/check_machine "$(PYTHON)" "$(CXX)"
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.built: $(VENV)/.made pyproject.toml setup.py $(CORE) $(if $(EDITABLE),,$(shell find src -name "*.py" -o -name "*.csv" -o -name "*.list"))
	@tools/check_machine "$(BIN)/python" "$(CXX)"
	$(BIN)/python -m pip install --quiet "setuptools>=77" "cython>=3.1,<4"
	$(BIN)/python -m pip install --quiet --no-build-isolation $(EDITABLE) .
	touch $@

# The first pip that knows --group.
$(VENV)/.pip: $(VENV)/.made
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.group-%: pyproject.toml $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --group $*
	touch $@

# Half of its time is waiting.
test: build $(TEST)  ## run the fast test suite
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal $(PYTEST_OPTIONS)

# The fast suite on other Python versions: on this machine's, or on that of a current Debian.
PYTHONS ?= 3.12 3.13 3.14
DEBIAN := tools/debian_testing build/debian-testing "make git g++ python3-venv python3-dev clang libc++-dev"
test-pythons:  ## run it on other Python versions, e.g. PYTHONS="3.12 3.13 3.14"
	@status=0; for version in $(PYTHONS); do \
	    if python=$$(tools/find_python $$version 2>/dev/null); then \
	        $(MAKE) test VENV=.venv-$$version PYTHON=$$python || status=1; \
	    elif [ "$$(id -u)" = 0 ]; then \
	        $(DEBIAN) make test PYTHON=python$$version PYTEST_OPTIONS="$(PYTEST_OPTIONS)" || status=1; \
	    else \
	        echo "Python $$version: skipped, a chroot of a current Debian needs root"; \
	    fi; \
	done; exit $$status

# The core by clang and libc++ of a current Debian: no accident of one compiler is relied on.
test-clang:  ## test the core compiled by clang with libc++
	@if [ "$$(id -u)" != 0 ]; then echo "skipped, a chroot of a current Debian needs root"; exit 0; fi; \
	$(DEBIAN) env CC=clang CXX="clang++ -stdlib=libc++" LDSHARED="clang++ -stdlib=libc++ -shared" sh -c \
	    'make build .venv/.group-core CXX="$$CXX" && .venv/bin/python -m pytest -q tests/core tests/hostile $(PYTEST_OPTIONS)'

test-slow: build $(TEST) $(VENV)/.group-lint  ## run the slow tests
	$(BIN)/python -m pytest -m "slow and not kafka" $(PYTEST_OPTIONS)

# A real Kafka and schema registry, fetched once; needs Java 17 and Maven.
test-kafka: build $(TEST)  ## run the tests on a real Apache Kafka (Java 17, Maven)
	$(BIN)/python -m pytest -m "kafka and not slow" $(PYTEST_OPTIONS)

# All tests of faults, and a table of what was measured; doc/appendix/faults.md says how long they take.
# FAULTS_OPTIONS="--update doc/appendix/faults.md" puts the table into the document.
faults: build $(TEST)  ## test all faults, and print a table of what was measured
	$(BIN)/python -m tests.faults $(FAULTS_OPTIONS)

# CHECK_OPTIONS="--update doc/how-to/check-before-the-night.md" puts the table into the document.
check-faults: build $(TEST)  ## what --check says of each fault (Java 17, Maven)
	$(BIN)/python -m tests.program.health_check_table $(CHECK_OPTIONS)

# Runs them until Ctrl-C, e.g. KAFKA_OPTIONS="--brokers 3 --sasl --tls".
kafka: build $(TEST)  ## run a real Kafka and schema registry until Ctrl-C
	$(BIN)/python -m tests.integration.kafka $(KAFKA_OPTIONS)

docs: build $(VENV)/.group-docs  ## the documentation as a site in build/docs
	$(BIN)/sphinx-build -W --keep-going -q -a -b html doc build/docs

# Needs chromium and chromium-driver; some two minutes.
screenshots: docs $(VENV)/.group-screenshots  ## the pictures of the documents, in doc/screenshots
	$(BIN)/python tools/make_screenshots

# A wheel for each Python of this machine, and one for a current Debian's; tried in empty environments.
WHEEL_PYTHONS ?= 3.11 3.12 3.13
wheels:  ## manylinux wheels and the source distribution in dist
	@[ "$$(id -u)" != 0 ] || $(DEBIAN) true  # What the chroot lacks is told at once.
	tools/build_wheels $(foreach version,$(WHEEL_PYTHONS),$$(tools/find_python $(version)))
	@if [ "$$(id -u)" = 0 ]; then \
	    $(DEBIAN) sh -c 'tools/build_wheels python3' && cp build/debian-testing/project/dist/*.whl dist/; \
	else \
	    echo "a current Debian's Python: skipped, a chroot of it needs root"; \
	fi

completions: build $(TEST)  ## shell completions in packaging/completion, from the parsers
	$(BIN)/python tools/make_completions

demo: build  ## simulated TMA, client, broker and an independent reader, then a table
	$(BIN)/demo_mtmount_telemetry $(DEMO_OPTIONS)

# Wants a quiet machine, e.g. STRESS_OPTIONS="--duration 60 --compare plain".
stress: build  ## stress test with a report in build/stress
	$(BIN)/stress_mtmount_telemetry --output build/stress $(STRESS_OPTIONS)

# Half an hour, e.g. SOAK_OPTIONS="--duration 600".
soak: build  ## half an hour under load: does anything grow?
	$(BIN)/stress_mtmount_telemetry --soak --output build/soak $(SOAK_OPTIONS)

# Tables and charts go to doc/benchmarks; wants a quiet machine.
bench: build $(BENCH)  ## benchmarks beside named peers
	$(BIN)/python -m bench

bench-quick: build $(BENCH)  ## a short run of each benchmark
	$(BIN)/python -m bench --quick

# Full and highest rate, start and latency on both Kafkas, a bare producer beside; ten minutes, wants a quiet machine.
bench-pace: build $(BENCH)  ## what the full rate of the TMA costs
	$(BIN)/python -m bench.pace $(PACE_OPTIONS)

# How the cost grows with the size of a frame, and with the number of clients in one process.
bench-growth: build $(BENCH)  ## cost against frame size and number of clients
	$(BIN)/python -m bench.growth

# A minute of the simulated TMA, recorded, and read by the mcap library alone.
bench-recording: build $(BENCH)  ## what a recording holds and costs
	$(BIN)/python -m bench.recording_cost

# What each step on the way to the present design bought, and what was tried and left.
bench-steps: build $(BENCH)  ## what each step of the design bought
	$(BIN)/python -m bench.steps

# Every figure of the documentation; over an hour, wants a quiet machine, Java 17 and Maven.
STRESS := $(BIN)/stress_mtmount_telemetry
evidence: bench bench-steps bench-pace bench-growth bench-recording  ## measure anew all that the documentation shows
	$(STRESS) --duration 60 --compare plain --output build/stress
	cp build/stress/stress.md doc/benchmarks/stress.md
	$(BIN)/python -m tests.integration.kafka $(STRESS) --external --rate 1,10,100 --duration 60 --output build/stress-kafka
	sed '1s/$$/, on Apache Kafka/' build/stress-kafka/stress.md > doc/benchmarks/stress-kafka.md
	$(STRESS) --soak --output build/soak
	cp build/soak/soak.md doc/benchmarks/soak.md
	$(MAKE) faults FAULTS_OPTIONS="--update doc/appendix/faults.md"

# Instruction counts; needs valgrind.
bench-guard: build $(BENCH)  ## instruction counts beside the committed ones (valgrind)
	$(BIN)/python -m bench.guard $(GUARD_OPTIONS)

# The core in builds of its own, each in an environment of its own.
# Checks of bounds, assertions and line tracing; its records must be the same.
debug: build $(TEST)  ## test a debug build of the core
	MTMOUNT_DEBUG=1 $(MAKE) VENV=.venv-debug EDITABLE= build .venv-debug/.group-core
	.venv-debug/bin/python -m pytest tests/core tests/hostile $(PYTEST_OPTIONS)
	$(BIN)/python -m tests.records_digest --same-as .venv-debug/bin/python

# AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer of GCC. Python's
# own allocator would hide objects from them, and pytest what they report.
sanitize:  ## test the core under ASan, LSan and UBSan
	MTMOUNT_SANITIZE=address,undefined $(MAKE) VENV=.venv-sanitize EDITABLE= build .venv-sanitize/.group-core
	PYTHONMALLOC=malloc UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    ASAN_OPTIONS=detect_leaks=1:malloc_context_size=2 \
	    LSAN_OPTIONS=suppressions=tests/leaks.supp:print_suppressions=0 \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    .venv-sanitize/bin/python -m pytest --capture=sys tests/core tests/hostile $(PYTEST_OPTIONS)

# Under both sanitizers and libFuzzer, so long for each target [s].
FUZZ_SECONDS ?= 60
fuzz:  ## fuzz the core
	MTMOUNT_FUZZ=1 MTMOUNT_SANITIZE=address,undefined \
	    $(MAKE) VENV=.venv-fuzz EDITABLE= build .venv-fuzz/.group-core .venv-fuzz/.group-fuzz
	.venv-fuzz/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_OPTIONS)

lint: build lint-cpp $(LINT)  ## all linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/cython-lint ext src
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > build/lint-imports.log || { cat build/lint-imports.log; exit 1; }
	$(BIN)/stubtest lsst.ts.mtmount.core --mypy-config-file pyproject.toml --allowlist tools/stubtest_allowlist.txt --ignore-unused-allowlist

lint-cpp:
	@for header in ext/*.hpp; do \
	    echo "#include \"$$header\"" | $(CXX) -std=c++17 -fsyntax-only -I. -x c++ - \
	        -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wsign-compare -Wshadow -Werror || exit 1; \
	done

# What is slow or moves by itself; the rest is in .ci/run. `make -k release-checks` goes on where a part fails.
release-checks: release-tools test-pythons test-clang screenshots wheels  ## other Pythons and compilers, pictures, wheels: before a release
	tools/build_wheels --cross aarch64 $$(tools/find_python 3.11)

release-tools:
	@for tool in debootstrap chromium chromedriver qemu-aarch64; do \
	    command -v $$tool >/dev/null || { echo "expected $$tool on the PATH" >&2; exit 1; }; \
	done

clean:  ## remove what make made
	rm -rf $(VENV) .venv-3.* .venv-debug .venv-sanitize .venv-fuzz build dist src/*.egg-info
	rm -rf .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src -name "*.so" -delete
