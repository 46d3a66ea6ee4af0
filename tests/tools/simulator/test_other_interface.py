"""The simulated TMA with an interface that is not the packaged one."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount.tma_interface import TmaInterface, TmaMember, format_table
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ...programs import find_program
from ...tma_interface.new_software import make_interface_of_all_types
from .helpers import TIMEOUT, WAIT, parse_frames, read_to_end

#: SAL type: its least and greatest value.
RANGES = {
    "byte": (-128, 127),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**31), 2**31 - 1),
    "long long": (-(2**63), 2**63 - 1),
    "unsigned short": (0, 2**16 - 1),
    "unsigned int": (0, 2**32 - 1),
}


def check_frames(interface: TmaInterface, frames: list[dict[str, Any]], num_ticks: int) -> None:
    for topic in interface.topics:
        own = [frame for frame in frames if frame["topicID"] == topic.topic_id]
        assert len(own) == len(range(0, num_ticks, topic.period_ms // 50))
        for frame in own:
            assert frame.keys() == {"topicID", *topic.by_name}
            for name, member in topic.by_name.items():
                check_value(frame[name], member)
    # All of one tick come before those of the next one.
    assert [frame["timestamp"] for frame in frames] == sorted(frame["timestamp"] for frame in frames)


def check_value(value: Any, member: TmaMember) -> None:
    if member.sal_type == "boolean":
        assert isinstance(value, bool)
    elif member.sal_type in RANGES:
        low, high = RANGES[member.sal_type]
        assert type(value) is int
        assert low <= value <= high
    else:
        assert isinstance(value, float)


async def test_every_type_is_sent_on_its_schedule() -> None:
    interface = make_interface_of_all_types()
    async with asyncio.timeout(TIMEOUT), TmaSimulator(rate=10, max_ticks=41, interface=interface) as tma:
        data = await read_to_end(tma.port)
    check_frames(interface, parse_frames(data), 41)


@pytest.mark.parametrize("by_variable", [False, True])
async def test_the_program_takes_a_table(tmp_path: Path, by_variable: bool) -> None:
    interface = make_interface_of_all_types()
    path = tmp_path / "interface.csv"
    path.write_text(format_table(interface))
    options = [] if by_variable else ["--tma-interface", str(path)]
    process = await asyncio.create_subprocess_exec(
        find_program("run_mock_tma_telemetry"),
        *("--port", "0", "--rate", "10", "--duration", "0.2", *WAIT),
        *("--report", str(tmp_path / "report.json")),
        *options,
        env=os.environ | {"MTMOUNT_TMA_INTERFACE": str(path if by_variable else tmp_path / "nowhere")},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT):
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        data = await read_to_end(int(line.split("port=")[1].split(";")[0]))
        output, _ = await process.communicate()
    assert process.returncode == 0
    check_frames(interface, parse_frames(data), 40)
    assert f"TMA interface: {path} (3 topics, " in output.decode()
    assert "unlike the packaged one, topic200 is sent, with topic ID 200 and 21 members" in output.decode()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames_by_topic"] == {"topic1": 40, "topic200": 14, f"topic{2**31 - 1}": 2}
