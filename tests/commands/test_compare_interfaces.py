"""``compare_mtmount_interfaces``: what it says, and its exit status."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount.commands.compare_interfaces import main
from lsst.ts.mtmount.tma_interface import TmaInterface, TmaTopic, format_table, load_packaged_tma_interface
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..sal.interface_files import change_field, packaged_fields, write_interface
from ..tma_interface.configuration import SMALL_FILE, SMALL_TABLE

PACKAGED = load_packaged_tma_interface()


def compare(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the program; return its status and the differences of all pairs."""
    status = main([*args, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["has_loss"] == (status == 1)
    return status, [difference for pair in document["comparisons"] for difference in pair["differences"]]


def write_changed(path: Path, name: str, **changes: Any) -> str:
    """Write the packaged interface with one topic changed, and return its name for the program."""
    topics = [replace(topic, **changes) if topic.sal_topic == name else topic for topic in PACKAGED.topics]
    path.write_text(format_table(TmaInterface(tuple(topics))))
    return f"tma:{path}"


def without(topic: TmaTopic, *members: str) -> dict[str, Any]:
    return {"members": tuple(member for member in topic.members if member.name not in members)}


def test_packaged(capsys: pytest.CaptureFixture[str]) -> None:
    """What newer SAL interfaces have, and the TMA does not send yet, is listed and no loss."""
    status, differences = compare(capsys, "tma:packaged", "sal:packaged")
    assert status == 0
    assert [(difference["topic"], difference["what"]) for difference in differences] == [
        ("capacitorBank", "has in SAL, never sent: fuseCapacitorBank, fuseCapacitorBankTimestamp"),
        (
            "topEndChiller",
            "has in SAL, never sent: airCompressedValveFailure, airCompressedValveFailureTimestamp, "
            "airCompressedValveStatus, airCompressedValveStatusTimestamp",
        ),
    ]


def test_order_of_kinds_does_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(capsys, "sal:packaged", "tma:packaged") == compare(capsys, "tma:packaged", "sal:packaged")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_member_less(tmp_path: Path, capsys: pytest.CaptureFixture[str], reverse: bool) -> None:
    changed = write_changed(tmp_path / "a", "azimuth", **without(PACKAGED.by_name["azimuth"], "actualTorque"))
    names = [changed, "tma:packaged"]
    status, (difference,) = compare(capsys, *(reversed(names) if reverse else names))
    assert status == 1
    what, effect = (
        ("also sends actualTorque", "these members are ignored")
        if reverse
        else ("does not send actualTorque", "each frame is dropped")
    )
    assert (difference["topic"], difference["what"]) == ("azimuth", what)
    assert difference["effect"].startswith(effect)


@pytest.mark.parametrize(
    ("changes", "what", "is_loss"),
    [
        ({"period_ms": 100}, "comes every 100 ms instead of 50 ms", False),
        ({"topic_id": 99}, "has topic ID 99 instead of 6", True),
        ({"sal_topic": "azimuth2"}, "is sent, with topic ID 6 and 15 members", True),
    ],
)
def test_topics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], what: str, is_loss: bool
) -> None:
    changed = write_changed(tmp_path / "a", "azimuth", **changes)
    status, differences = compare(capsys, changed, "tma:packaged")
    assert status == is_loss
    assert differences[0]["what"] == what
    assert differences[0]["is_loss"] is is_loss


def test_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    topic = PACKAGED.by_name["azimuth"]
    members = tuple(
        replace(member, sal_type="int") if member.name == "actualTorque" else member
        for member in topic.members
    )
    changed = write_changed(tmp_path / "a", "azimuth", members=members)
    assert [difference["what"] for difference in compare(capsys, changed, "tma:packaged")[1]] == [
        "has other types: actualTorque int instead of double"
    ]
    status, differences = compare(capsys, changed, "tma:packaged", "sal:packaged")
    assert status == 1
    assert [difference["topic"] for difference in differences] == [
        "azimuth",
        "capacitorBank",
        "topEndChiller",
    ]


def test_sal_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    topics = packaged_fields()
    change_field(topics, "azimuth", "actualTorque", sal_type="string")
    change_field(topics, "azimuthDrives", "current", count=1)
    change_field(topics, "elevationDrives", "current", count=3)
    topics["encoder"] = [field for field in topics["encoder"] if not field.name.startswith("position")]
    del topics["balancing"]
    folder = f"sal:{write_interface(tmp_path / 'xml', topics)}"
    status, differences = compare(capsys, "tma:packaged", folder)
    assert status == 1
    found = {difference["topic"]: (difference["what"], difference["is_loss"]) for difference in differences}
    assert found["azimuth"] == ("has strings in SAL: actualTorque", True)
    assert found["azimuthDrives"] == (
        "has scalars in SAL where the TMA sends arrays: current 1 instead of 16",
        True,
    )
    assert found["elevationDrives"] == ("has other counts in SAL: current 3 instead of 12", False)
    assert found["balancing"] == ("is not in SAL", True)
    status, differences = compare(capsys, "sal:packaged", folder)
    assert status == 1
    assert {difference["topic"] for difference in differences if difference["is_loss"]} >= {
        "azimuth",
        "balancing",
    }
    status, differences = compare(capsys, folder, folder)
    assert (status, differences) == (0, [])


def test_types_of_tma_and_sal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Types are compared before the client takes over those of SAL."""
    topics = packaged_fields()
    change_field(topics, "azimuth", "actualPosition", sal_type="boolean")
    change_field(topics, "azimuthDrives", "current", sal_type="int")
    folder = f"sal:{write_interface(tmp_path / 'xml', topics)}"
    status, differences = compare(capsys, "tma:packaged", folder)
    assert status == 1
    assert [
        (difference["topic"], difference["what"]) for difference in differences if difference["is_loss"]
    ] == [
        ("azimuthDrives", "has other types in SAL: current int instead of double"),
        ("azimuth", "has other types in SAL: actualPosition boolean instead of double"),
    ]
    members = tuple(
        replace(member, sal_type="long long") if member.name == "actualPosition" else member
        for member in PACKAGED.by_name["azimuth"].members
    )
    changed = write_changed(tmp_path / "a", "azimuth", members=members)
    status, differences = compare(capsys, changed, "sal:packaged")
    assert status == 1
    assert "has other types in SAL: actualPosition double instead of long long" in [
        difference["what"] for difference in differences
    ]


async def test_live(capsys: pytest.CaptureFixture[str]) -> None:
    async with TmaSimulator(topics=["azimuth", "azimuthDrives", "encoder", "lockingPins"]) as simulator:
        args = (f"live:127.0.0.1:{simulator.port}", "tma:packaged", "sal:packaged", "--duration", "0.6")
        status, differences = await asyncio.to_thread(compare, capsys, *args)
    assert status == 1
    seen = {"azimuth", "azimuthDrives", "encoder", "lockingPins"}
    live = [difference for difference in differences if difference["what"] == "is not sent"]
    assert {difference["topic"] for difference in live} == set(PACKAGED.by_name) - seen
    others = {difference["topic"] for difference in differences if difference not in live}
    assert others == {"capacitorBank", "topEndChiller"}


@pytest.mark.parametrize(
    "line", [b"{}\r\n", b"\xff\r\n", b"[" * 100_000 + b"\r\n", b'{"topicID": 0}\r\n', b""]
)
async def test_live_without_frames(capsys: pytest.CaptureFixture[str], line: bytes) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        status = await asyncio.to_thread(main, [f"live:127.0.0.1:{port}", "tma:packaged"])
    assert status == 2
    assert "expected frames of topics, got none" in capsys.readouterr().err


def test_export(tmp_path: Path) -> None:
    path = tmp_path / "interface.csv"
    assert main([f"tma:{SMALL_FILE}", "--export", str(path)]) == 0
    assert path.read_bytes() == SMALL_TABLE.read_bytes()


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"tma:{SMALL_FILE}", "tma:packaged"]) == 1
    output = capsys.readouterr()
    assert "encoderHeads" in output.out
    assert "its frames are ignored" in output.out
    assert "Something would be lost" in output.out
    assert "publishes strings, which are not telemetry: interlocks" in output.err
    assert main(["tma:packaged", "tma:packaged"]) == 0
    assert "no differences" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "tma:",
        "tma:/nowhere",
        "sal:/nowhere",
        "sal:installed",
        "live:127.0.0.1:1",
        "live:x",
        "live::1",
        "file",
    ],
)
def test_what_cannot_be_compared(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tma:packaged", name]) == 2
    assert capsys.readouterr().err.startswith("compare_mtmount_interfaces: failed: ")


@pytest.mark.parametrize(
    "args", [[], ["tma:packaged"], ["sal:packaged", "--export", "x"], ["tma:packaged"] * 4]
)
def test_usage(args: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(args)
