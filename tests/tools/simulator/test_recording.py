import asyncio
import math
from pathlib import Path

from lsst.ts.mtmount.tools.simulator import TmaSimulator

from .helpers import TIMEOUT, WAIT, count_due, count_topics, parse_frames, read_to_end
from .test_mock_tma import running


async def test_records_what_was_handed_over() -> None:
    recorded = bytearray()
    async with (
        asyncio.timeout(TIMEOUT),
        TmaSimulator(rate=math.inf, max_ticks=1000, record=recorded.extend) as simulator,
    ):
        data = await read_to_end(simulator.port)
        await simulator.wait_complete()
    assert bytes(recorded) == data


async def test_leaves_the_connection_to_the_client() -> None:
    async with (
        asyncio.timeout(TIMEOUT),
        TmaSimulator(rate=math.inf, max_ticks=10, stay_open=True) as simulator,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        data = b""
        while count_topics(parse_frames(data)) != count_due(10):
            data += await reader.readuntil(b"\r\n")
        assert simulator.num_connected == 1
        assert not reader.at_eof()
        writer.close()
        await simulator.wait_complete()
        assert await reader.read() == b""


async def test_program_records(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    arguments = ("--rate", "100", "--duration", "0.1", *WAIT, "--record", str(path))
    async with running(*arguments) as (process, port):
        data = await read_to_end(port)
        await process.communicate()
    assert process.returncode == 0
    assert path.read_bytes() == data
