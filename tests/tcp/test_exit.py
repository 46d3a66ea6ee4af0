"""Programs that use the client end without a word on stderr."""

import subprocess
import sys

import pytest

SERVER = """
import asyncio, logging
from lsst.ts.mtmount import Client

async def serve(reader, writer):
    writer.write(b"one\\r\\ntwo\\r\\nhal")
    await writer.drain()
    if not PEER_CLOSES:
        await reader.read()
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass  # the client did not read everything
    served.set()

async def connect():
    global served
    served = asyncio.Event()
    # A busy machine is no fault of the program.
    asyncio.get_running_loop().slow_callback_duration = 60
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client("127.0.0.1", port, logging.getLogger(), run_heartbeat_send_task=True)
    await client.start_task
    return server, client

async def end(server):
    await served.wait()
    server.close()
"""

PROGRAMS = {
    "closed": """
async def main():
    server, client = await connect()
    assert await client.read_str() == "one"
    await client.close()
    await end(server)
""",
    "read to the end": """
async def main():
    server, client = await connect()
    assert await client.read_str() == "one"
    if PEER_CLOSES:
        assert await client.read(-1) == b"two\\r\\nhal"
    else:
        await client.readexactly(8)
    await client.basic_close()
    await end(server)
""",
    "closed with a sink": """
async def main():
    server, client = await connect()
    taken = asyncio.Event()
    frames = []
    def take():
        while (frame := client._buffer.next_frame()) is not None:
            frames.append(frame)
        taken.set()
        return len(frames) < 2
    client.set_frame_sink(take)
    while len(frames) < 2:
        await taken.wait()
        taken.clear()
    await client.close()
    await end(server)
""",
    "cancelled in a read": """
async def main():
    server, client = await connect()
    async with client:
        task = asyncio.create_task(client.readexactly(100))
        await asyncio.sleep(0)
        task.cancel()
    await end(server)
""",
}
#: Without development mode, asyncio says nothing about what is open at the end.
CARELESS_PROGRAMS = {
    "never closed": """
async def main():
    global server, client
    server, client = await connect()
    assert await client.read_str() == "one"
    await end(server)
""",
    "never connected": """
async def main():
    global client
    client = Client("127.0.0.1", 1, logging.getLogger())
""",
    "never started": """
async def main():
    global client
    client = Client("", 0, logging.getLogger())
""",
}


def run_program(main: str, peer_closes: bool, *options: str) -> None:
    program = f"{SERVER}\nPEER_CLOSES = {peer_closes}\n{main}\nasyncio.run(main())\n"
    result = subprocess.run(
        [sys.executable, *options, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stderr == ""
    assert result.returncode == 0


@pytest.mark.parametrize("peer_closes", [False, True])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_empty_stderr(program: str, peer_closes: bool) -> None:
    run_program(program, peer_closes, "-X", "dev", "-W", "error")


@pytest.mark.parametrize("program", CARELESS_PROGRAMS.values(), ids=CARELESS_PROGRAMS)
def test_empty_stderr_though_careless(program: str) -> None:
    run_program(program, True)
