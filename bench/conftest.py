"""How the benchmarks are chosen, checked and timed."""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .contenders import Contender, Run

#: Times a run whose results are as expected.
Measure: TypeAlias = Callable[[Run, Sequence[Any]], None]

#: Rounds of a benchmark, the median of which counts; and of one that has to get
#: ready for each round.
NUM_ROUNDS = 50
NUM_PREPARED_ROUNDS = 7
NUM_QUICK_ROUNDS = 2

#: What a round takes at least, by doing the work more than once [s].
MIN_ROUND_TIME = 0.002

#: Workloads of a quick run, as far as a stage has them.
NUM_QUICK_WORKLOADS = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="few rounds and workloads: shows that the benchmarks run"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Time all contenders of a module on its first workload, then on the next one."""
    if "contender" not in metafunc.fixturenames:
        return
    contenders: Mapping[str, Sequence[Contender]] = metafunc.module.CONTENDERS
    workload_names = list(contenders)
    if metafunc.config.getoption("quick"):
        del workload_names[NUM_QUICK_WORKLOADS:]
    metafunc.parametrize(
        ("workload_name", "contender"),
        [
            pytest.param(workload_name, contender, id=f"{workload_name}: {contender.name}")
            for workload_name in workload_names
            for contender in contenders[workload_name]
        ],
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time the processor's time of all threads: what else the machine does matters less."""
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=time.process_time))


@pytest.fixture(scope="session", autouse=True)
def only_own_garbage() -> Iterator[None]:
    """Let the garbage collector see what contenders leave, and not all that pytest holds."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Measure:
    """Return what checks the results of a run, then times it."""
    is_quick = request.config.getoption("quick")
    parameters = request.node.callspec.params

    def check_and_time(run: Run, expected: Sequence[Any]) -> None:
        request.addfinalizer(run.close)
        results = run.results()
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            assert result == wanted
        if run.prepare is not None:
            num_rounds, iterations, warmup_rounds = NUM_PREPARED_ROUNDS, 1, 0
        else:
            num_rounds, iterations, warmup_rounds = NUM_ROUNDS, count_iterations(run), 1
        benchmark.pedantic(  # type: ignore[no-untyped-call]
            run.work,
            setup=run.prepare,
            rounds=NUM_QUICK_ROUNDS if is_quick else num_rounds,
            iterations=iterations,
            warmup_rounds=warmup_rounds,
        )
        benchmark.extra_info.update(
            stage=request.module.STAGE,
            workload=parameters["workload_name"],
            contender=parameters["contender"].name,
            num_items=run.num_items,
            num_bytes=run.num_bytes,
            **run.notes(),
        )

    return check_and_time


def count_iterations(run: Run) -> int:
    """Choose how often the work is done in a round, so that the clock's steps do not matter."""
    start = time.process_time()
    run.work()
    return math.ceil(MIN_ROUND_TIME / max(time.process_time() - start, 1e-6))
