"""One run of all parts: from a Kafka that comes up to an account that closes."""

import asyncio
import json
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from .child_program import ChildProgram, LoadTestError
from .client_command import ClientCommand, make_own_command
from .frame_counts import FrameCounts
from .kafka_target import KafkaTarget, TargetChoice
from .procfs import list_tree
from .run_result import RunResult
from .samples import Sample, SampleSeries, read_report, take_sample
from .tma_stream import RecordedStream, TmaStream, count_due_frames
from .verifier_process import BUSY_FETCH_WAIT, FETCH_WAIT, VerifierProcess, VerifierProgress

__all__ = ["SAMPLED_TOPIC", "ReadMode", "RunPlan", "run_load"]

HOST = "127.0.0.1"

#: Names of files.
RECORDING = "frames"
SIMULATOR_REPORT = "simulator.json"

#: Read back alone where not everything is, if it is sent: it has the shortest
#: frames, so that it takes little, and tells the latency of all.
SAMPLED_TOPIC = "mainPowerSupply"

#: How long the simulator may take to listen, and the client to publish its first record [s].
START_TIMEOUT = 30.0

#: A client that is not through with the stream this long after its end [s] does
#: not keep up: the stream is cut, or the client gets the signal to end.
GRACE = 5.0

#: How long the client may then take for what is in its buffers [s].
DRAIN_TIMEOUT = 120.0

#: A client that tells no counters may stay when the TMA has gone, as the observatory's does. It is ended
#: when it has published nothing for this long [s].
IDLE_TIME = 3.0

#: The simulator may be through, or may never have had a client, when the client has ended so early
#: that none of its records was seen [s].
EARLY_GRACE = 1.0

#: The reader tells how far it is at least so often [s].
MAX_PROGRESS_INTERVAL = 0.2


class ReadMode(StrEnum):
    """What is read back."""

    #: Everything is decoded, and compared with the frames where these are recorded.
    DECODE = "decode"
    #: All records are counted, by the broker's high watermarks; one topic is decoded.
    COUNT = "count"


@dataclass(frozen=True)
class RunPlan:
    """What to run."""

    client: ClientCommand
    rate: float  #: Multiple of the TMA's full rate; infinity: as fast as the client takes it
    duration: float  #: Length of the stream [s]; infinity: until it is cancelled
    read_mode: ReadMode = ReadMode.DECODE  #: What is read back
    compare: bool = False  #: Compare every value with the frame that it came from?
    #: Is the client ended by SIGTERM, when all frames have been read back? Otherwise the TMA closes the
    #: connection.
    by_signal: bool = False
    #: Time between two samples, and between two reports that the client writes [s]. These take the client up
    #: to 1 ms each.
    interval: float = 1.0
    seed: int = 0  #: What the simulator's values depend on
    stream: TmaStream = field(default_factory=TmaStream)  #: What the simulator streams

    @property
    def num_due(self) -> int:
        """Frames of a finite stream that are to be published."""
        return count_due_frames(self.rate, self.duration, self.stream)


async def run_load(
    plan: RunPlan, target_choice: TargetChoice, folder: Path, watch: Callable[[Sample], object]
) -> RunResult:
    """Run all parts once; `LoadTestError` if they could not be brought to run.

    The output of the programs goes to ``folder``, which exists; ``watch`` is called
    with each sample.
    """
    async with AsyncExitStack() as stack:
        # First, as it renders its frames while the others start.
        variables = plan.stream.write_interface(folder)
        simulator = await stack.enter_async_context(_make_simulator(plan, folder, variables))
        target = await stack.enter_async_context(target_choice.open(folder, variables))
        return await _Run(plan, target, simulator, folder, stack, watch).run()


@dataclass
class _Run:
    """One run; its methods are called one after the other."""

    plan: RunPlan
    target: KafkaTarget
    simulator: ChildProgram
    folder: Path
    stack: AsyncExitStack
    watch: Callable[[Sample], object]
    series: SampleSeries = field(default_factory=SampleSeries)
    problems: list[str] = field(default_factory=list)
    was_cut: bool = False  #: Did the client not keep up?
    ended_early: bool = False  #: Did the client end before its first record was seen?
    client_pids: set[int] = field(default_factory=set)  #: Of the client and what it started

    def __post_init__(self) -> None:
        self.duration = self.plan.stream.find_duration(self.plan.rate, self.plan.duration)
        self.topics = self.plan.stream.topics
        self.client_report = self.folder / "client.json" if self.plan.client.has_counters else None

    async def run(self) -> RunResult:
        """Run it."""
        await asyncio.to_thread(self.target.create_topics, self.topics)
        starts = await self._find_ends()
        self._reader = await self._start_reader()
        self._client = await self._start_client()
        sampling = asyncio.create_task(self._take_samples())
        try:
            await self._wait_for_first_record()
            await (self._end_by_signal() if self.plan.by_signal else self._end_by_close())
        finally:
            sampling.cancel()
            await asyncio.wait([sampling])
        if not sampling.cancelled():
            # It ends by itself only if it fails.
            sampling.result()
        # Told only to the programs that still run.
        ends = await self._find_ends()
        read_back = await self._reader.finish()
        simulator_report = await self._end_simulator()
        sent = await asyncio.to_thread(self.plan.stream.count_sent, simulator_report)
        account = FrameCounts(
            sent=sent.published,
            written={topic.sal_name: ends[topic.sal_name] - starts[topic.sal_name] for topic in self.topics},
            read_back=read_back,
            counters=read_report(self.client_report),
            unsupported=sent.unsupported,
            invalid=sent.invalid,
        )
        self._check_client(account)
        return RunResult(
            client=self.plan.client.name,
            rate=self.plan.rate,
            duration=self.duration,
            was_cut=self.was_cut,
            read_mode=self.plan.read_mode,
            account=account,
            simulator=simulator_report,
            series=self.series,
            problems=[*account.find_discrepancies(), *read_back.problems, *self.problems],
        )

    async def _start_reader(self) -> VerifierProcess:
        names = [topic.sal_name for topic in self.topics]
        reader = VerifierProcess(
            names
            if self.plan.read_mode is ReadMode.DECODE
            else [self.plan.stream.choose_sample(SAMPLED_TOPIC)],
            self.target.environment,
            self.folder,
            interval=min(self.plan.interval, MAX_PROGRESS_INTERVAL),
            fetch_wait=FETCH_WAIT if self.plan.rate <= 1 else BUSY_FETCH_WAIT,
            recording=self.folder / RECORDING if self.plan.compare else None,
            # The frames of a recording may be anything.
            is_simulated=not isinstance(self.plan.stream, RecordedStream),
        )
        return await self.stack.enter_async_context(reader)

    async def _start_client(self) -> ChildProgram:
        first_line = await self.simulator.expect_line(START_TIMEOUT)
        port = int(first_line.partition("port=")[2].partition(";")[0])
        command = self.plan.client.make_command(HOST, port, self.folder / "client.json", self.plan.interval)
        program = ChildProgram("client", command, self.target.environment, self.folder)
        return await self.stack.enter_async_context(program)

    async def _take_samples(self) -> None:
        programs = [self._client, self.simulator, self._reader.program]
        if self.target.program is not None:
            programs.append(self.target.program)
        while True:
            if self._client.status is None:
                self.client_pids.update(list_tree(self._client.process.pid))
            sample = take_sample(programs, self._reader, self.client_report)
            if math.isfinite(self.plan.duration):
                self.series.samples.append(sample)
            self.watch(sample)
            await asyncio.sleep(self.plan.interval)

    async def _wait_for_first_record(self) -> None:
        waiting = await self._wait_beside_client(lambda progress: progress.first_published > 0, START_TIMEOUT)
        if waiting.done():
            await waiting
        elif self._client.status is not None:
            self.ended_early = True
        else:
            raise LoadTestError(
                f"no record came within {START_TIMEOUT:g} s of the client's start\n{self._client.describe()}"
            )

    async def _wait_beside_client(
        self, predicate: Callable[[VerifierProgress], bool], time_limit: float | None
    ) -> asyncio.Task[None]:
        """Wait for a progress until the client ends, at most this long [s]; return what waited for it."""
        waiting = asyncio.create_task(self._reader.wait_for(predicate))
        ending = asyncio.create_task(self._client.process.wait())
        _, left = await asyncio.wait(
            [waiting, ending], timeout=time_limit, return_when=asyncio.FIRST_COMPLETED
        )
        for task in left:
            task.cancel()
        return waiting

    async def _end_by_close(self) -> None:
        """Wait until the TMA has closed the connection and the client has ended."""
        is_own = self.plan.client.has_counters
        status = await self._client.wait(self.duration + GRACE)
        if status is None and not is_own:
            status = await self._end_when_idle(0.0)
        if status is None:
            self.was_cut = True
            # A recording is sent to its end: what it was cut to could not be told exactly.
            if not isinstance(self.plan.stream, RecordedStream):
                self.simulator.send_signal(signal.SIGTERM)
            waiting = self._client.wait if is_own else self._end_when_idle
            status = await waiting(DRAIN_TIMEOUT)
        if status is None:
            self.problems.append(f"the client did not end within {DRAIN_TIMEOUT:g} s of the stream's end")
            await self._client.end()
        # A client that lost its TMA may call that a failure.
        elif status not in (0, 1) and not self.ended_early:
            self.problems.append(f"the client ended with status {status}\n{self._client.describe()}")

    async def _find_ends(self) -> dict[str, int]:
        return await asyncio.to_thread(self.target.find_ends, self.topics)

    async def _end_when_idle(self, time_limit: float) -> int | None:
        """Send SIGTERM to the client when no more records come; None if they come beyond the limit [s]."""
        deadline = time.monotonic() + time_limit
        ends = await self._find_ends()
        while (status := await self._client.wait(IDLE_TIME)) is None:
            last, ends = ends, await self._find_ends()
            if ends == last:
                return await self._client.end()
            if time.monotonic() > deadline:
                return None
        return status

    async def _end_by_signal(self) -> None:
        """Send SIGTERM to the client when every frame has been read back; it must end well."""
        plan = self.plan
        is_endless = math.isinf(plan.duration)
        num_due = math.inf if is_endless else plan.num_due
        progress = self._reader.progress
        begin = time.time() if progress is None else progress.first_published
        stream_end = begin + self.plan.duration
        time_limit = None if is_endless else max(stream_end + GRACE - time.time(), 0)
        # If a frame is lost, this never comes true: the account will tell.
        await self._wait_beside_client(lambda progress: progress.total_decoded >= num_due, time_limit)
        when, accepted = "after SIGTERM", {0}
        if self._client.status is not None:
            when = "before it got a signal"
            # After the stream it may miss the telemetry, and call that a failure, though the reader,
            # on a busy computer, is not yet through.
            accepted = {0, 1} if time.time() >= stream_end else set()
        status = await self._client.end()
        if status not in accepted and not self.ended_early:
            self.problems.append(f"the client ended with status {status} {when}\n{self._client.describe()}")

    async def _end_simulator(self) -> dict[str, Any]:
        # It ends by itself when the stream has come to its end and the client has gone.
        status = await self.simulator.wait(EARLY_GRACE if self.ended_early else GRACE)
        if status is None:
            status = await self.simulator.end()
            if not self.ended_early:
                self.problems.append("the client left the TMA before the end of the stream")
        if status:
            raise LoadTestError(f"the simulator ended with status {status}\n{self.simulator.describe()}")
        report: dict[str, Any] = json.loads((self.folder / SIMULATOR_REPORT).read_text())
        return report

    def _check_client(self, account: FrameCounts) -> None:
        """See whether the records name the client's process, and the counters are there."""
        if self.ended_early and not account.total_written:
            self.problems.append(
                f"the client ended with status {self._client.status} before its first record"
                f"\n{self._client.describe()}"
            )
        if strangers := set(account.read_back.origins) - self.client_pids:
            self.problems.append(f"records name processes that are none of the client's: {strangers}")
        if self.plan.client.has_counters and account.counters is None:
            self.problems.append(f"the client wrote no report\n{self._client.describe()}")


def _make_simulator(plan: RunPlan, folder: Path, variables: Mapping[str, str]) -> ChildProgram:
    rate = "max" if math.isinf(plan.rate) else repr(plan.rate)
    command = [*make_own_command("run_mock_tma"), "--host", HOST, "--port", "0"]
    command += ["--rate", rate, *plan.stream.make_options(plan.rate, plan.duration, plan.seed)]
    command += ["--report", str(folder / SIMULATOR_REPORT)]
    if plan.compare:
        # The reader may be there before the simulator.
        (folder / RECORDING).touch()
        command += ["--record", str(folder / RECORDING)]
    if plan.by_signal:
        command.append("--stay-open")
    return ChildProgram("simulator", command, {**os.environ, **variables}, folder, read_output=True)
