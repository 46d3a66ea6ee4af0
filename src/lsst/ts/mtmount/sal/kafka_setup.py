"""What has to be there before anything is published: topics, permissions, schemas."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from confluent_kafka import Producer

from ..resilience import Backoff
from ..resilience.daemon_thread import run_in_daemon_thread
from ..resilience.rate_limited_log import RateLimitedLog
from .avro_schema import TopicInfo
from .kafka_settings import KafkaSettings
from .kafka_topics import KafkaNotReadyError, create_missing_topics
from .schema_registry import RegisteredSchema, RegistryNotReadyError, SchemaRegistry

__all__ = ["KafkaSetup"]

T = TypeVar("T")

#: Upper bound for one attempt as a whole, whatever its parts take [s].
ATTEMPT_TIMEOUT = 30.0

#: How often it is told what a long start waits for [s].
PROGRESS_INTERVAL = 5.0


@dataclass(slots=True)
class Attempt:
    """What a thread is doing, and whether it shall stop."""

    step: str = "starting"
    stop: threading.Event = field(default_factory=threading.Event)


class KafkaSetup:
    """Get Kafka and the schema registry ready, within a bound, and tell what that waits for.

    ``answer_timeout`` is for Kafka, and for each answer of the registry [s];
    ``is_exact`` as in `SchemaRegistry.provide_schema`.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: list[TopicInfo],
        *,
        is_exact: bool,
        answer_timeout: float,
        log: logging.Logger,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._is_exact = is_exact
        self._answer_timeout = answer_timeout
        self._log = log
        self._limited_log = RateLimitedLog(log)
        self._begin = time.monotonic()

    async def run(
        self, make_producer: Callable[[], Producer], retry_time: float
    ) -> tuple[Producer, dict[str, RegisteredSchema]]:
        """Make the producer and all that it needs, in several attempts if need be.

        Return it with the schemas by attribute name of the topic. ``make_producer`` is
        called in a thread, once. Further attempts are made for ``retry_time`` [s], while
        something is not ready; after that, or if it refuses, `KafkaSetupError` or
        `RegistryError`.
        """
        producer = await self._call(lambda attempt: make_producer(), "making the producer")
        backoff = Backoff()
        try:
            while True:
                try:
                    schemas = await self._call(
                        lambda attempt: self._prepare(producer, attempt), "asking Kafka for its topics"
                    )
                except (KafkaNotReadyError, RegistryNotReadyError) as error:
                    left = self._begin + retry_time - time.monotonic()
                    if left <= 0:
                        raise
                    self._limited_log.log(
                        "not ready", logging.WARNING, f"Waiting, because this may pass: {error}"
                    )
                    await asyncio.sleep(min(backoff.next_delay(), left))
                else:
                    return producer, schemas
        finally:
            self._limited_log.flush(force=True)

    async def _call(self, function: Callable[[Attempt], T], step: str) -> T:
        """Call what blocks in a thread; tell what it waits for, and give it up when it takes too long."""
        attempt = Attempt(step)
        deadline = time.monotonic() + ATTEMPT_TIMEOUT
        task = asyncio.create_task(run_in_daemon_thread(function, attempt))
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise KafkaNotReadyError(
                        f"The start took over {ATTEMPT_TIMEOUT:g} s, and was still {attempt.step}"
                    )
                done, _ = await asyncio.wait([task], timeout=min(PROGRESS_INTERVAL, left))
                if done:
                    return task.result()
                self._log.info(f"Starting for {time.monotonic() - self._begin:.0f} s: {attempt.step}")
        finally:
            # The thread may still be at work.
            attempt.stop.set()
            task.cancel()

    def _prepare(self, producer: Producer, attempt: Attempt) -> dict[str, RegisteredSchema]:
        """Do the part of the start that blocks; called in a thread."""
        attempt.step = f"asking Kafka at {self._settings.broker_addr} for its topics"
        create_missing_topics(
            self._settings,
            self._topics,
            producer,
            self._log,
            timeout=self._answer_timeout,
            stop=attempt.stop,
        )
        schemas: dict[str, RegisteredSchema] = {}
        with SchemaRegistry(
            self._settings.registry_url, timeout=self._answer_timeout, redact=self._settings.redact
        ) as registry:
            for number, topic in enumerate(self._topics, 1):
                if attempt.stop.is_set():
                    break
                attempt.step = (
                    f"asking the schema registry {registry.url} for schema {number} of {len(self._topics)}"
                )
                schemas[topic.attr_name] = registry.provide_schema(
                    topic, topic.subject(self._settings.subname), is_exact=self._is_exact
                )
        return schemas
