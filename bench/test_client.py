"""The whole client: from the TMA's socket to Kafka, every message acknowledged.

What counts is the processor's time of all threads of the client's process. The peer to
compare with is a loop that only produces ready messages: what Kafka's own client library
takes. TMA, broker and registry run in processes of their own: the embedded ones, and where Java
is there also Apache Kafka with Apicurio's registry.

The bare producers have all messages of a round at once, and the client has those of one receive: so
theirs queue, and go to Kafka in larger requests. That is in the producers' favour, and left so.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from operator import itemgetter
from typing import Any, Literal

import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from lsst.ts.mtmount.core import DeliveryCounter
from lsst.ts.mtmount.sal import PRODUCER_DEFAULTS
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from .conftest import Measure
from .contenders import OURS, Contender, Run
from .mix import MIX, find_workload
from .plain import ProducingPipeline, decode_message, make_plain_topic
from .producing import make_messages, produce_one_by_one
from .services import APACHE, EMBEDDED, Services, list_kafkas, report_failure, run_services

STAGE = "client"

#: What a user's code costs.
ONE_PREPROCESSOR = f"{OURS}, one preprocessor"

#: What the client is measured by.
BARE_PRODUCER = "bare producer"
TIGHT_PRODUCER = "bare producer, tightened"

#: Frames in a round, in whole passes of the mix: fewer for the plain pipeline.
NUM_FRAMES = 109_100
NUM_PLAIN_FRAMES = 21_820
NUM_QUICK_PASSES = 2

#: Upper bound for a round [s].
ROUND_TIMEOUT = 60.0

#: How often a client's counters are looked at [s]; a look takes the client's time.
POLL_INTERVAL = 0.02

#: A record's topic and its own fields.
Content = tuple[str, dict[str, Any]]


class Rounds:
    """Sends passes of the mix to the broker, and times that on the wall clock, too."""

    def __init__(self, services: Services, num_frames: int) -> None:
        self.services = services
        self.mix = find_workload(MIX)
        num_passes = max(num_frames // len(self.mix.frames), 1)
        self.num_passes = NUM_QUICK_PASSES if services.is_quick else num_passes
        self.durations: list[float] = []

    def prepare(self) -> None:
        """Get ready for a round."""

    def publish(self, num_passes: int) -> None:
        """Publish so many passes of the mix, and wait until all is acknowledged."""
        raise NotImplementedError

    def finish(self) -> None:
        """Leave the services to another one."""

    def close(self) -> None:
        """Release what is held."""

    def work(self) -> None:
        start = time.perf_counter()
        self.publish(self.num_passes)
        self.durations.append(time.perf_counter() - start)

    def results(self) -> list[Content]:
        """Publish one pass and read it back."""
        with self.services.open_reader() as reader:
            self.prepare()
            self.publish(1)
            records = reader.collect(len(self.mix.frames), ROUND_TIMEOUT)
        return sort_by_topic([(received.topic, received.record) for received in records])

    def make_run(self) -> Run:
        num_frames = len(self.mix.frames) * self.num_passes
        return Run(
            self.work,
            self.results,
            num_frames,
            self.mix.num_bytes * self.num_passes,
            self.close,
            self.prepare,
            lambda: {"items_per_second": num_frames / statistics.median(self.durations)},
            self.finish,
        )


def sort_by_topic(records: Sequence[tuple[str, dict[str, Any]]]) -> list[Content]:
    """Leave out the private fields; each topic's records stay in order."""
    return [
        (topic, {name: value for name, value in record.items() if not name.startswith("private_")})
        for topic, record in sorted(records, key=itemgetter(0))
    ]


def name_workload(kafka: str) -> str:
    """Name the mix into a Kafka; the embedded one is what the other stages' mix is beside."""
    return MIX if kafka == EMBEDDED else f"{MIX}, {kafka}"


class PreprocessingClient(TelemetryClient):
    """A client with a preprocessor for one of the 26 topics, one that comes at the highest rate."""

    def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
        data["actualPosition"] += 0.0


class OurClient(Rounds):
    """A fresh `TelemetryClient` for each round, with default settings."""

    def __init__(
        self,
        services: Services,
        sal_backend: Literal["builtin", "salobj"] = "builtin",
        client_class: type[TelemetryClient] = TelemetryClient,
    ) -> None:
        super().__init__(services, NUM_FRAMES)
        self._client_class = client_class
        self._sal_backend = sal_backend
        self._runner = asyncio.Runner()
        self._client: TelemetryClient | None = None

    def prepare(self) -> None:
        self._runner.run(self._restart())

    def publish(self, num_passes: int) -> None:
        self.services.feed(num_passes)
        self._runner.run(self._wait_for(num_passes * len(self.mix.frames)))

    def finish(self) -> None:
        self._runner.run(self._stop())

    def close(self) -> None:
        self.finish()
        self._runner.close()

    async def _restart(self) -> None:
        await self._stop()
        self._client = self._client_class("127.0.0.1", self.services.port, sal_backend=self._sal_backend)
        await self._client.start_task

    async def _stop(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _wait_for(self, num_frames: int) -> None:
        assert self._client is not None
        async with asyncio.timeout(ROUND_TIMEOUT):
            while self._client.counters.acknowledged < num_frames:
                assert not self._client.done_task.done()
                await asyncio.sleep(POLL_INTERVAL)
        assert self._client.counters.frames == num_frames


class BareProducer(Rounds):
    """A loop that only produces ready messages, as confluent-kafka's documentation writes it.

    librdkafka's own settings, a delivery callback in Python that counts, and a poll
    after each message.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(services, NUM_FRAMES)
        self._producer = services.make_producer({})
        self._messages = make_messages(services)

    def publish(self, num_passes: int) -> None:
        produce_one_by_one(
            self._producer, self._messages, num_passes, in_c=False, by_position=False, messages_per_poll=1
        )


class TightProducer(Rounds):
    """The same with what this package does: its settings, its delivery counter in C, and few polls."""

    def __init__(self, services: Services) -> None:
        super().__init__(services, NUM_FRAMES)
        self._producer = services.make_producer(PRODUCER_DEFAULTS)
        self._messages = make_messages(services)

    def publish(self, num_passes: int) -> None:
        produce_one_by_one(
            self._producer,
            self._messages,
            num_passes,
            in_c=True,
            by_position=True,
            messages_per_poll=len(self._messages),
        )


class StreamReaderClient(Rounds):
    """asyncio's StreamReader, json, a dict, fastavro, and the same producer."""

    def __init__(self, services: Services) -> None:
        super().__init__(services, NUM_PLAIN_FRAMES)
        self._runner = asyncio.Runner()
        self._producer = services.make_producer(PRODUCER_DEFAULTS)
        self._pipeline = ProducingPipeline(services.schema_ids, schema_ids=services.schema_ids)

    def publish(self, num_passes: int) -> None:
        self.services.feed(num_passes)
        self._runner.run(self._read(num_passes * len(self.mix.frames)))

    def close(self) -> None:
        self._runner.close()

    async def _read(self, num_frames: int) -> None:
        deliveries = DeliveryCounter(report_failure)

        def produce(topic: str, value: bytes, key: bytes, partition: int, _: object) -> None:
            self._producer.produce(topic, value, key, partition, deliveries)
            self._producer.poll(0)

        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.services.port, limit=MAX_FRAME_LENGTH
        )
        for _ in range(num_frames):
            frame = await reader.readuntil(LINE_TERMINATOR)
            self._pipeline.take_frame(frame.removesuffix(LINE_TERMINATOR), produce)
        await asyncio.to_thread(self._producer.flush, ROUND_TIMEOUT)
        assert deliveries.acknowledged == num_frames
        writer.close()
        await writer.wait_closed()


def use_salobj(services: Services) -> Run:
    return OurClient(services, "salobj").make_run()


#: Workloads: the mix into each Kafka that can be run here.
KAFKAS = {name_workload(kafka): kafka for kafka in list_kafkas()}

#: salobj creates topics, which the embedded broker cannot.
SALOBJ_KAFKAS = [APACHE] if find_spec("lsst.ts.salobj") else []

CONTENDERS = {
    workload: (
        Contender(OURS, lambda services: OurClient(services).make_run()),
        Contender(
            ONE_PREPROCESSOR,
            lambda services: OurClient(services, client_class=PreprocessingClient).make_run(),
        ),
        *([Contender(f"{OURS}, salobj", use_salobj)] if kafka in SALOBJ_KAFKAS else []),
        Contender(BARE_PRODUCER, lambda services: BareProducer(services).make_run()),
        Contender(TIGHT_PRODUCER, lambda services: TightProducer(services).make_run()),
        Contender("StreamReader, json, fastavro", lambda services: StreamReaderClient(services).make_run()),
    )
    for workload, kafka in KAFKAS.items()
}


@pytest.fixture(scope="module")
def open_once(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Services]]:
    """Return what runs the services of a workload, until those of the next one are asked for."""
    is_quick = request.config.getoption("quick")
    with ExitStack() as stack:
        running: dict[str, Services] = {}

        def open_workload(name: str) -> Services:
            if name not in running:
                stack.close()
                running.clear()
                running[name] = stack.enter_context(open_services(KAFKAS[name], is_quick=is_quick))
            return running[name]

        yield open_workload


@contextmanager
def open_services(kafka: str, *, is_quick: bool) -> Iterator[Services]:
    """Run the services, and let the LSST variables lead to them."""
    with (
        pytest.MonkeyPatch.context() as patch,
        run_services(RAW_TELEMETRY_MAP, is_quick=is_quick, kafka=kafka) as services,
    ):
        for name in [name for name in os.environ if name.startswith("LSST_")]:
            patch.delenv(name)
        for name, value in services.environment.items():
            patch.setenv(name, value)
        yield services


# lsst.ts.salobj leaves the sockets of its registry client to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.timeout(600)
def test_client(
    measure: Measure, workload_name: str, contender: Contender, open_once: Callable[[str], Services]
) -> None:
    mix, services = find_workload(MIX), open_once(workload_name)
    topics = {topic_id: make_plain_topic(topic_id) for topic_id in services.schema_ids}
    records = []
    for topic_id, frame in zip(mix.topic_ids, mix.frames, strict=True):
        topic = topics[topic_id]
        topic.gather(json.loads(frame))
        records.append((topic.kafka_topic, decode_message(topic, topic.encode(0.0, 0.0))))
    measure(contender.make_run(services), sort_by_topic(records))
