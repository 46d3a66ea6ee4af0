"""A program as a user writes it: a subclass, embedded in other code.

``test_typing.py`` has mypy and pyright check it, and runs it.
"""

import asyncio
import ctypes
import logging
from collections.abc import Awaitable, Callable
from typing import Any, assert_type

from lsst.ts.mtmount import (
    RAW_TELEMETRY_MAP,
    TELEMETRY_MAP,
    Client,
    Counters,
    TelemetryClient,
    TelemetryTopicId,
)
from lsst.ts.mtmount.core import ArrayFunctor, ScalarFunctor


class Stamp(ctypes.Structure):
    """What the other end of a plain `Client` sends and gets."""

    _fields_ = (("seconds", ctypes.c_double), ("number", ctypes.c_uint32))


class Word(ctypes.Union):
    """The same bytes in two forms."""

    _fields_ = (("number", ctypes.c_uint32), ("raw", ctypes.c_ubyte * 4))


class OffsetClient(TelemetryClient):
    """Corrects a position, and keeps the frames of a topic."""

    def __init__(self, host: str, port: int, *, offset: float = 0.0) -> None:
        super().__init__(host, port, sal_backend="builtin", handle_signals=False)
        self.offset = offset
        self.frames: list[dict[str, Any]] = []
        handlers = self.topic_handlers
        handlers[TelemetryTopicId.elevation] = self.keep
        self.topic_handlers = {**handlers, TelemetryTopicId(5): self.keep}

    def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
        data["actualPosition"] += self.offset

    async def connect_callback(self, client: Client) -> None:
        """Publish whether the client is connected, and tell."""
        await super().connect_callback(client)
        self.log.info(f"{client.host}:{client.port} {'connected' if client.connected else 'left'}")

    async def keep(self, frame: dict[str, Any]) -> None:
        """Keep the frame, and publish its topic with another value."""
        self.frames.append(frame)
        if not await self.publish_elevation(frame.get("actualPosition", 0.0)):
            self.log.warning("the elevation has no value")

    async def publish_elevation(self, position: float) -> bool:
        """Publish a position through the controller; return whether the topic has values."""
        topic = self.controller.tel_elevation
        result = await topic.set_write(actualPosition=position)
        assert_type(result.was_written, bool)
        return topic.has_data


def describe_topic(topic_id: int) -> str:
    """Describe a topic by what the maps tell of it."""
    name, fields = TELEMETRY_MAP[topic_id]
    assert_type(name, str)
    assert_type(fields, dict[str, ArrayFunctor | ScalarFunctor])
    assert_type(RAW_TELEMETRY_MAP[topic_id][1], dict[str, int])
    num_elements = sum(functor.num_elements for functor in fields.values())
    return f"{TelemetryTopicId(topic_id).name}: {name}, {len(fields)} fields, {num_elements} elements"


async def exchange(client: Client) -> tuple[Stamp, Word, bytes]:
    """Send a structure, a union and bytes, and read the same back."""
    await client.write_from(Stamp(1.5, 7), Word(number=5))
    await client.write(bytearray(b"one;"))
    await client.writelines([b"two", memoryview(b"\r\n")])
    stamp, word = Stamp(), Word()
    await client.read_into(stamp)
    await client.read_into(word)
    assert_type(await client.readuntil((b";", b"\r\n")), bytes)
    assert_type(await client.read_str(), str)
    return stamp, word, b"one;two"


async def run_telemetry(port: int, is_enough: Callable[[OffsetClient], Awaitable[object]]) -> Counters:
    """Run a client until something holds; return what became of the frames."""
    async with OffsetClient("127.0.0.1", port, offset=0.5) as client:
        preprocessor = client.get_preprocessor("tel_azimuth")
        assert preprocessor is not None
        await is_enough(client)
        assert_type(client.unsupported_topic_ids, set[int])
        assert_type(client.controller.isopen, bool)
    await client.done_task
    return client.counters


async def run_plain(port: int, log: logging.Logger) -> tuple[Stamp, Word, bytes]:
    """Exchange some data with a server that echoes."""

    async def tell(client: Client) -> None:
        log.info(f"{client.name} is {'connected' if client.connected else 'closed'}")

    async with asyncio.timeout(60), Client("127.0.0.1", port, log, tell, name="plain") as client:
        return await exchange(client)
