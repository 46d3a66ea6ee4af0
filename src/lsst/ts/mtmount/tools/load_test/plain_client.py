"""A telemetry client in pure Python: the straightforward way, for comparison.

``asyncio.StreamReader``, `json`, a dict, ``fastavro`` and ``confluent-kafka``,
one frame after the other. It publishes the same records and counts them alike,
but has no events, heartbeat, handlers or defences: a bad frame ends it.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ...constants import LINE_TERMINATOR, MAX_FRAME_LENGTH, TELEMETRY_PORT
from ...pipeline.counters import Counters
from ...program.report_file import ReportFile
from ...sal import KafkaPublisher, KafkaSettings, TopicInfo, load_interface
from ...tma_interface import TmaTopic, choose_tma_interface
from .plain_pipeline import PlainPipeline, PlainTopic

__all__ = ["main"]

LOG = logging.getLogger("plain_client")

#: How long to wait at the end for Kafka to take what is queued [s].
FLUSH_TIMEOUT = 10.0


class PlainClient:
    """Reads frames from the TMA and publishes them, until the stream or the client is to end."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        settings = KafkaSettings.from_environment()
        self._publisher = KafkaPublisher(settings, LOG)
        interface = load_interface(LOG, tma_interface=choose_tma_interface())
        self._pipeline = PlainPipeline(
            {
                sent.topic_id: PlainTopic(info, _select_fields(sent, info), settings.subname)
                for sent in interface.tma_interface.topics
                if (info := interface.topics.get(f"tel_{sent.sal_topic}")) is not None
            }
        )
        self._frames = self._bytes = self._published = self._acknowledged = self._failed = 0
        self._unsupported = 0

    @property
    def counters(self) -> Counters:
        """What became of every frame so far."""
        return Counters(
            frames=self._frames,
            bytes=self._bytes,
            published=self._published,
            acknowledged=self._acknowledged,
            failed=self._failed,
            dropped={},
            unsupported=self._unsupported,
            preprocessed=0,
            handled=0,
            pending=False,
        )

    async def start(self) -> None:
        """Get ready to publish."""
        topics = self._pipeline.topics.values()
        await self._publisher.start(topic.info for topic in topics)
        for topic in topics:
            schema = self._publisher.schemas[topic.info.attr_name]
            topic.start(schema.schema_id, schema.rev_code)

    async def run(self) -> None:
        """Read and publish until the TMA closes the connection."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=MAX_FRAME_LENGTH)
        try:
            while True:
                try:
                    frame = await reader.readuntil(LINE_TERMINATOR)
                except asyncio.IncompleteReadError:
                    raise ConnectionError("the TMA closed the connection") from None
                await self._publish(frame[: -len(LINE_TERMINATOR)])
        finally:
            writer.close()

    async def close(self) -> None:
        """Let Kafka take what is queued."""
        await self._publisher.close(FLUSH_TIMEOUT)

    async def _publish(self, frame: bytes) -> None:
        self._frames += 1
        self._bytes += len(frame)
        message = self._pipeline.encode_frame(frame)
        if message is None:
            self._unsupported += 1
            return
        kafka_topic, payload = message
        while True:
            try:
                self._publisher.produce(kafka_topic, payload, b"", 0, self._on_delivery)
            except BufferError:
                await self._publisher.wait_for_room()
            else:
                self._published += 1
                return

    def _on_delivery(self, error: object, message: object) -> None:
        if error is None:
            self._acknowledged += 1
        else:
            self._failed += 1


def _select_fields(sent: TmaTopic, info: TopicInfo) -> dict[str, list[str]]:
    """Select what SAL can take: no numbers for strings, no arrays for scalars."""
    known = {field.name: field for field in info.fields if field.sal_type != "string"}
    return {
        name: members
        for name, members in sent.field_members.items()
        if name in known and (known[name].count > 1 or len(members) == 1)
    }


async def amain(args: argparse.Namespace) -> int:
    """Run the program; return its exit status."""
    client = PlainClient(args.host, args.port)
    report = None
    if args.report is not None:
        report = ReportFile(args.report, lambda: client.counters.as_dict(), LOG, args.report_interval)
    task = asyncio.current_task()
    assert task is not None
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    status = 0
    try:
        await client.start()
        await client.run()
    except asyncio.CancelledError:
        LOG.info("Got a signal to end")
    except ConnectionError as error:
        LOG.error("Ending: %s", error)
        status = 1
    await client.close()
    if report is not None:
        await report.finish()
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return 0 after SIGTERM or SIGINT, 1 when the connection was lost."""
    parser = argparse.ArgumentParser(
        prog="python -m lsst.ts.mtmount.tools.load_test.plain_client", description=__doc__
    )
    parser.add_argument("--host", required=True, help="IP address of the TMA's telemetry server")
    parser.add_argument("--port", type=int, default=TELEMETRY_PORT, help="port (default: %(default)s)")
    parser.add_argument("--loglevel", type=int, default=logging.INFO, help="log level (default: %(default)s)")
    parser.add_argument("--report", type=Path, help="write the counters as JSON to this file")
    parser.add_argument("--report-interval", type=float, help="write them also at this interval [s]")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s: %(message)s", level=args.loglevel)
    return asyncio.run(amain(args))


if __name__ == "__main__":
    sys.exit(main())
