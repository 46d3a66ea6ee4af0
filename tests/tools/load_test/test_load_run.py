"""Runs of all parts, short ones."""

import math
import os
import sys
from pathlib import Path

import pytest

from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.load_test.child_program import LoadTestError
from lsst.ts.mtmount.tools.load_test.client_command import (
    OURS,
    PLAIN,
    ClientCommand,
    make_own_command,
    parse_client_command,
)
from lsst.ts.mtmount.tools.load_test.kafka_target import EMBEDDED, TargetChoice
from lsst.ts.mtmount.tools.load_test.load_run import SAMPLED_TOPIC, ReadMode, RunPlan, run_load
from lsst.ts.mtmount.tools.load_test.run_result import ROLES, RunResult
from lsst.ts.mtmount.tools.load_test.samples import Sample
from lsst.ts.mtmount.tools.load_test.tma_stream import count_due_frames

from ..simulator.helpers import count_due

FAULTY_CLIENT = Path(__file__).parent / "faulty_client.py"

#: A program that runs another, and stays when that has ended, until SIGTERM.
STAY = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
subprocess.run(sys.argv[1:])
while True:
    signal.pause()
"""


async def run(plan: RunPlan, folder: Path, target: TargetChoice = EMBEDDED) -> RunResult:
    samples: list[Sample] = []
    result = await run_load(plan, target, folder, samples.append)
    assert result.series.samples == samples
    return result


@pytest.mark.parametrize(("rate", "duration"), [(1.0, 15.0), (1.0, 0.05), (2.5, 1.0), (100.0, 10.0)])
def test_counts_frames_that_are_due(rate: float, duration: float) -> None:
    assert count_due_frames(rate, duration) == sum(count_due(round(duration * rate * 20)).values())


@pytest.mark.parametrize("rate", [1.0, pytest.param(10.0, marks=pytest.mark.slow)])
async def test_everything_is_found_again(tmp_path: Path, rate: float) -> None:
    result = await run(RunPlan(OURS, rate, 2.0, interval=0.1), tmp_path)
    assert result.problems == []
    account = result.account
    due = count_due_frames(rate, 2.0)
    assert account.total_sent == account.total_written == account.read_back.sum_up("decoded") == due
    assert account.counters is not None
    assert account.counters["acknowledged"] == due
    assert result.latency.count == due
    assert 0 < result.latency.percentile(50) <= result.latency.max
    # Never faster; how much slower depends on the computer.
    assert 0 < result.frames_per_second < 1.5 * due / 2
    for role in ROLES:
        assert result.streaming.compute_cpu_share(role) > 0
        assert result.series.find_peak_rss(role) > 10e6
    assert result.verdict == "ok"


async def test_at_full_speed_records_are_counted(tmp_path: Path) -> None:
    result = await run(RunPlan(OURS, math.inf, 1.0, ReadMode.COUNT, interval=0.1), tmp_path)
    assert result.problems == []
    account = result.account
    assert not account.is_read_whole
    assert account.total_sent == account.total_written > count_due_frames(10, 1)
    assert account.read_back.topics.keys() == {SAMPLED_TOPIC}
    assert account.read_back.sum_up("decoded") == account.sent[SAMPLED_TOPIC]


@pytest.mark.slow
async def test_plain_client_publishes_the_same(tmp_path: Path) -> None:
    """The oracle's own pipeline passes the comparison of every value too."""
    result = await run(RunPlan(PLAIN, 3.0, 1.0, compare=True, by_signal=True, interval=0.1), tmp_path)
    assert result.problems == []
    assert result.account.read_back.compared
    assert result.account.counters is not None


@pytest.mark.slow
async def test_given_kafka_that_holds_records_already(
    tmp_path: Path, embedded_kafka: EmbeddedKafka, sal_environment: str
) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        result = await run(RunPlan(OURS, 5.0, 0.5, interval=0.1), folder, TargetChoice({}))
        assert result.problems == []
        assert result.account.total_written == count_due_frames(5.0, 0.5)
    assert os.environ["LSST_TOPIC_SUBNAME"] in TargetChoice({}).describe()


async def test_client_that_is_not_there(tmp_path: Path) -> None:
    client = parse_client_command("no-such-program-anywhere")
    with pytest.raises(LoadTestError, match=r"client cannot be started: .*no-such-program-anywhere"):
        await run(RunPlan(client, 1.0, 1.0), tmp_path)


@pytest.mark.slow
async def test_client_that_does_not_connect(tmp_path: Path) -> None:
    result = await run(RunPlan(parse_client_command("false"), 1.0, 1.0), tmp_path)
    assert "no frame was sent: the client did not connect" in result.problems


@pytest.mark.slow
async def test_client_that_does_not_keep_up(tmp_path: Path) -> None:
    """The stream is cut, what was sent is accounted for, and it is said."""
    result = await run(RunPlan(PLAIN, 2000.0, 1.0, ReadMode.COUNT), tmp_path)
    assert result.problems == []
    assert result.was_cut
    assert result.verdict == "behind"
    assert 0 < result.account.total_sent < count_due_frames(2000.0, 1.0)


@pytest.mark.slow
async def test_client_that_stays_when_the_tma_has_gone(tmp_path: Path) -> None:
    """It is ended when no more records come; nothing is wrong with that."""
    words = (
        sys.executable,
        "-c",
        STAY,
        *make_own_command("run_client"),
        "--host",
        "{host}",
        "--port",
        "{port}",
    )
    result = await run(RunPlan(ClientCommand("stayer", words), 1.0, 1.0, interval=0.1), tmp_path)
    assert result.problems == []
    assert not result.was_cut
    assert result.account.total_written == count_due_frames(1.0, 1.0)


@pytest.mark.slow
async def test_client_that_replaces_a_frame_by_the_next_one(tmp_path: Path) -> None:
    """The numbers are right, and no value is compared."""
    client = parse_client_command(f"{sys.executable} {FAULTY_CLIENT} --fault replace")
    result = await run(RunPlan(client, 1.0, 2.0, interval=0.1), tmp_path)
    counts, told = result.problems
    assert counts == "1 records came twice"
    assert told.endswith(": is there twice")


@pytest.mark.slow
async def test_client_that_leaves_early(tmp_path: Path) -> None:
    client = parse_client_command(f"{sys.executable} {FAULTY_CLIENT} --fault leave")
    result = await run(RunPlan(client, 1.0, 10.0, interval=0.1), tmp_path)
    assert "the client left the TMA before the end of the stream" in result.problems
