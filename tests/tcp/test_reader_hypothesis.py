"""`TcpStreamReader` and `asyncio.StreamReader`, fed alike and asked alike, answer alike."""

import asyncio
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from lsst.ts.mtmount.core import FrameBuffer
from lsst.ts.mtmount.tcp.stream_reader import TcpStreamReader

# Few letters, so that separators and parts of them are frequent.
chunks = st.text("ab\r\n", min_size=1, max_size=12).map(str.encode)
separators = st.text("ab\r\n", max_size=4).map(str.encode)
counts = st.integers(-1, 12)
calls = st.one_of(
    st.tuples(st.just("read"), counts),
    st.tuples(st.just("readexactly"), counts),
    st.tuples(st.just("readuntil"), separators),
    st.tuples(st.just("readline")),
)
# What happens to a reader: bytes, the end, the loss of the connection.
events = st.one_of(chunks, chunks, chunks, st.none(), st.just(ConnectionResetError("lost")))

Call = tuple[Any, ...]
Event = bytes | ConnectionResetError | None


async def run_calls(
    reader: asyncio.StreamReader | TcpStreamReader, to_do: list[Call], events: list[Event]
) -> list[object]:
    """Run all calls, one after the other, while the events happen; return what they gave."""
    outcomes: list[object] = []

    async def call_all() -> None:
        for name, *arguments in to_do:
            try:
                outcomes.append(await getattr(reader, name)(*arguments))
            except asyncio.IncompleteReadError as error:
                outcomes.append((type(error), error.partial, error.expected))
            except asyncio.LimitOverrunError as error:
                outcomes.append((type(error), error.consumed))
            except (ValueError, ConnectionError) as error:
                outcomes.append((type(error), str(error)))
            outcomes.append((reader.at_eof(), reader.exception()))

    task = asyncio.create_task(call_all())
    has_ended = False
    for event in [*events, None]:
        # Enough for a reader that was woken up to do all it can.
        for _ in range(3):
            await asyncio.sleep(0)
        outcomes.append("event")
        if isinstance(event, ConnectionResetError):
            reader.set_exception(event)
        elif not has_ended and event is None:
            has_ended = True
            reader.feed_eof()
        elif not has_ended and event is not None:
            reader.feed_data(event)
    async with asyncio.timeout(60):
        await task
    return outcomes


async def compare(to_do: list[Call], events: list[Event], limit: int) -> None:
    expected = await run_calls(asyncio.StreamReader(limit=limit), to_do, events)
    # The buffer's terminator does not matter to a reader.
    for terminator in (b"\r\n", b"\n", b"a"):
        buffer = FrameBuffer(terminator, limit)
        assert await run_calls(TcpStreamReader(buffer), to_do, events) == expected


@given(st.lists(calls, max_size=8), st.lists(events, max_size=8), st.integers(1, 20))
@example([("readuntil", b"\r\r\n"), ("read", -1)], [b"a\r", b"\r\r", b"\nb", None], 20)
@example([("readuntil", b"aab"), ("readline",)], [b"a", b"a", b"a", b"b", b"\n", None], 20)
@example([("readline",), ("readline",), ("readline",)], [b"abababab", b"ab\n", b"a\n"], 5)
@example([("readuntil", b"\n"), ("read", 3), ("readuntil", b"\n")], [b"abababab\n"], 5)
def test_any_mix(to_do: list[Call], events: list[Event], limit: int) -> None:
    asyncio.run(compare(to_do, events, limit))


@given(st.lists(chunks, max_size=6), separators.filter(bool), st.integers(1, 20))
def test_frames(pieces: list[bytes], terminator: bytes, limit: int) -> None:
    """`read_frame` is `readuntil` without the terminator."""

    async def read_both() -> None:
        buffer = FrameBuffer(terminator, limit)
        reader = TcpStreamReader(buffer)
        twin = asyncio.StreamReader(limit=limit)
        for piece in pieces:
            reader.feed_data(piece)
            twin.feed_data(piece)
        reader.feed_eof()
        twin.feed_eof()
        while True:
            try:
                expected = await twin.readuntil(terminator)
            except asyncio.IncompleteReadError as error:
                try:
                    await reader.read_frame(terminator)
                except asyncio.IncompleteReadError as same:
                    assert same.partial == error.partial
                else:
                    raise AssertionError("the twin was at the end") from error
                return
            except asyncio.LimitOverrunError as error:
                try:
                    await reader.read_frame(terminator)
                except asyncio.LimitOverrunError as same:
                    assert same.consumed == error.consumed
                else:
                    raise AssertionError("the twin found the frame too long") from error
                assert await reader.readexactly(error.consumed) == await twin.readexactly(error.consumed)
            else:
                assert await reader.read_frame(terminator) + terminator == expected

    asyncio.run(read_both())
