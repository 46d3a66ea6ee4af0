"""The built-in SAL backend of the telemetry client."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ..constants import LOGGER_NAME
from ..resilience.guarded_log import guard_logger
from ..resilience.live_object import refuse_to_copy
from ..tma_interface import TmaInterface
from .avro_schema import COMPONENT
from .interface import load_interface
from .kafka_settings import KafkaSettings
from .log_handler import SalLogHandler
from .publisher import KafkaPublisher
from .tai import LEAP_SECOND_TABLE, TaiClock
from .write_topic import WriteTopic

__all__ = ["Controller"]

#: Upper bound for delivering what is queued when the controller is closed [s].
CLOSE_TIMEOUT = 10.0

#: Share of that for the log messages that are still to be queued.
LOG_SHARE = 0.2


class Controller:
    """Publish telemetry, events and log messages of the SAL component; the built-in `SalBackend`.

    To be made in a running event loop; it starts at once. The interface is that of
    `load_interface`. Without a publisher, one is made with the settings of the environment.

    Attributes
    ----------
    log : `logging.Logger`
        The logger ``MTMount``. What reaches it, also by its children, is
        published as ``evt_logMessage``, also what is logged before the start.
    start_task : `asyncio.Task`
        Done when messages can be published.
    done_task : `asyncio.Future`
        Done when closed.
    isopen : `bool`
        False once `close` is called.
    topics : `dict` [`str`, `WriteTopic`]
        All topics by attribute name.
    tel_..., evt_... : `WriteTopic`
        The topics that the interface has.

    Raises
    ------
    SettingsError
        If an environment variable is missing or cannot be used.
    InterfaceError
        If the interface files cannot be understood.
    """

    __reduce_ex__ = refuse_to_copy

    def __init__(
        self, *, publisher: KafkaPublisher | None = None, tma_interface: TmaInterface | None = None
    ) -> None:
        self.done_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.log = guard_logger(logging.getLogger(COMPONENT))
        if self.log.getEffectiveLevel() > logging.INFO:
            self.log.setLevel(logging.INFO)
        self._log_handler = SalLogHandler()
        self.log.addHandler(self._log_handler)
        try:
            self.interface = load_interface(self.log, tma_interface=tma_interface)
            if publisher is None:
                publisher = KafkaPublisher(KafkaSettings.from_environment(), logging.getLogger(LOGGER_NAME))
        except BaseException:
            self.log.removeHandler(self._log_handler)
            raise
        self.tma_interface = self.interface.tma_interface
        self.publisher = publisher
        self.clock = TaiClock()
        self.topics = {
            attr_name: WriteTopic(info, publisher, self.clock)
            for attr_name, info in self.interface.topics.items()
        }
        self.isopen = True
        self.start_task = asyncio.create_task(self._start())

    @property
    def controller(self) -> Controller:
        """What `SalBackend` calls so: this one."""
        return self

    def __getattr__(self, name: str) -> WriteTopic:
        # Only called for what is not an ordinary attribute.
        topics: dict[str, WriteTopic] = self.__dict__.get("topics", {})
        if name in topics:
            return topics[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.topics]

    async def _start(self) -> None:
        self.log.info(f"SAL interface: {self.interface.source}; publishing to {self.publisher.settings}")
        await LEAP_SECOND_TABLE.load_in_thread()
        self.clock.refresh()
        await self.publisher.start(
            [topic.info for topic in self.topics.values()], is_exact=self.interface.is_exact
        )
        for attr_name, topic in self.topics.items():
            topic.prepare(self.publisher.schemas[attr_name])
        if "evt_logLevel" in self.topics:
            await self.evt_logLevel.set_write_known(
                level=self.log.getEffectiveLevel(), subsystem="", force_output=True
            )
        await self.publisher.confirm_permission()
        if "evt_logMessage" in self.topics:
            self._log_handler.start(self.evt_logMessage.set_write_known)

    async def write_event(self, name: str, **fields: Any) -> None:
        """Write an event; see `SalBackend`."""
        topic = self.topics.get(f"evt_{name}")
        if topic is not None:
            await topic.set_write_known(**fields)

    def note_end(self) -> None:
        """Take note that the client begins to end; see `SalBackend`."""
        self._log_handler.queue.is_ending = True

    async def close(self, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ASYNC109
        """Publish what is queued, at most for ``timeout`` [s], and end."""
        if not self.isopen:
            await asyncio.shield(self.done_task)
            return
        self.isopen = False
        deadline = time.monotonic() + timeout
        try:
            self.start_task.cancel()
            await asyncio.wait([self.start_task])
            self.log.removeHandler(self._log_handler)
            await self._log_handler.stop(LOG_SHARE * timeout)
            await self.publisher.close(deadline - time.monotonic())
            self._report_lost_records()
        finally:
            # The end of the event loop may have come before.
            self.log.removeHandler(self._log_handler)
            self._log_handler.queue.abandon()
            self.done_task.set_result(None)

    def _report_lost_records(self) -> None:
        queue = self._log_handler.queue
        if queue.num_dropped or queue.num_failed:
            self.log.warning(
                f"Log records that were not published: {queue.num_dropped} dropped, "
                f"{queue.num_failed} failed (last error: {queue.last_error!r})"
            )
