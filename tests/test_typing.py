"""What users write is understood by type checkers: the sample program in `typed_client`."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from .programs import run_module
from .test_telemetry_client import golden_frame, wait_for
from .tma import ScriptedTma
from .typed_client import OffsetClient, describe_topic, run_plain, run_telemetry

ROOT = Path(__file__).parent.parent
SAMPLE = Path(__file__).with_name("typed_client.py")

#: Each is strict by what pyproject.toml says.
CHECKERS = {"mypy": ["mypy"], "pyright": ["pyright", "--pythonpath", sys.executable]}

#: Lines that a checker has to refuse.
MISTAKES = """
from lsst.ts.mtmount import TELEMETRY_MAP, TelemetryClient, TelemetryTopicId

async def misuse(client: TelemetryClient) -> None:
    client.topic_handlers[5] = 5
    client.topic_handlers = {5: "a handler"}
    client.controller.tel_azimuth.nothing
    TELEMETRY_MAP[5][1].nothing
    TelemetryTopicId.nothing
    await client.write("text")
"""


def run_checker(name: str, program: Path) -> subprocess.CompletedProcess[str]:
    return run_module(*CHECKERS[name], str(program))


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_sample_program_passes(checker: str) -> None:
    result = run_checker(checker, SAMPLE)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_mistakes_do_not_pass(checker: str, tmp_path: Path) -> None:
    program = tmp_path / "mistakes.py"
    program.write_text(MISTAKES)
    output = run_checker(checker, program).stdout
    first = MISTAKES.splitlines().index("    client.topic_handlers[5] = 5") + 1
    for line in range(first, len(MISTAKES.splitlines()) + 1):
        assert f"mistakes.py:{line}:" in output, output


async def test_the_sample_program_publishes(sal_environment: str) -> None:
    async def send(client: OffsetClient) -> None:
        await tma.send(golden_frame("azimuth"), golden_frame("elevation"), golden_frame("azimuthDrives"))
        await wait_for(lambda: client.counters.handled == 2)

    async with ScriptedTma() as tma:
        counters = await run_telemetry(tma.port, send)
    assert (counters.published, counters.preprocessed, counters.handled) == (1, 1, 2)
    assert describe_topic(5) == "azimuthDrives: azimuthDrives, 3 fields, 33 elements"


async def test_the_sample_program_talks_to_any_server() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    stamp, word, text = await run_plain(server.sockets[0].getsockname()[1], logging.getLogger("test"))
    assert (stamp.seconds, stamp.number, word.number, text) == (1.5, 7, 5, b"one;two")
    server.close()
    await server.wait_closed()
