"""``compare_mtmount_interfaces``: what it says, and its exit status."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount.commands.compare_interfaces import main
from lsst.ts.mtmount.core import FrameError, Record
from lsst.ts.mtmount.pipeline.topic_fields import choose_fields, make_codec
from lsst.ts.mtmount.sal.fields import AVRO_TYPES
from lsst.ts.mtmount.tma_interface import TmaInterface, TmaTopic, format_table, load_packaged_tma_interface
from lsst.ts.mtmount.tools.interface_comparison import observed_interface
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..sal.interface_files import change_field, packaged_fields, write_interface
from ..tma_interface.configuration import SMALL_FILE, SMALL_TABLE

PACKAGED = load_packaged_tma_interface()

VALUES_OF_NO_TYPE: tuple[Any, ...] = ("abc", {}, [1])


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
    assert found["azimuth"] == ("has strings in SAL where the TMA sends numbers: actualTorque", True)
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


@pytest.mark.parametrize(
    ("field", "changes", "what", "effect", "is_loss"),
    [
        ("current", {"count": 1}, "counts: current 1 instead of 16", "not written", True),
        ("current", {"count": 3}, "counts: current 3 instead of 16", "the TMA's elements are written", False),
        (
            "timestamp",
            {"count": 3},
            "counts: timestamp 3 instead of 1",
            "the TMA's elements are written",
            False,
        ),
        (
            "timestamp",
            {"sal_type": "string"},
            "types: timestamp string instead of double",
            "not written",
            True,
        ),
        (
            "timestamp",
            {"sal_type": "float"},
            "types: timestamp float instead of double",
            "values are converted",
            True,
        ),
        (
            "timestamp",
            {"units": "ms"},
            "units: timestamp ms instead of second",
            "values are not converted",
            False,
        ),
    ],
)
def test_one_field_of_sal(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    field: str,
    changes: dict[str, Any],
    what: str,
    effect: str,
    is_loss: bool,
) -> None:
    """What becomes of a field is told as the client does it."""
    topics = packaged_fields()
    change_field(topics, "azimuthDrives", field, **changes)
    folder = f"sal:{write_interface(tmp_path / 'xml', topics)}"
    status, differences = compare(capsys, "sal:packaged", folder)
    assert status == is_loss
    found = [tuple(difference[key] for key in ("what", "effect", "is_loss")) for difference in differences]
    assert found == [(f"has other {what}", effect, is_loss)]


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
    live = [
        difference
        for difference in differences
        if difference["what"].startswith(("is not sent", "was not seen"))
    ]
    (what,) = (difference["what"] for difference in live if difference["topic"] == "oilSupplySystem")
    assert re.fullmatch(r"was not seen; [\d.]+ s were too short for its period of 5 s", what)
    assert {difference["topic"] for difference in live} == set(PACKAGED.by_name) - seen
    others = {difference["topic"] for difference in differences if difference not in live}
    assert others == {"capacitorBank", "topEndChiller"}


@asynccontextmanager
async def serve(*lines: bytes, closes: bool = True) -> AsyncIterator[str]:
    """Serve lines to each client; give the name of the interface."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not writelines, which with nothing to write never ends on some Pythons.
        writer.write(b"".join(lines))
        await writer.drain()
        if not closes:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        yield f"live:127.0.0.1:{server.sockets[0].getsockname()[1]}"


def make_frame(**changes: Any) -> bytes:
    """Make a frame of azimuth; a change to ``...`` leaves the member out."""
    members = {"topicID": 6, **dict.fromkeys(PACKAGED.by_name["azimuth"].by_name, 1.5), **changes}
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode() + b"\r\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}\r\n", "1 frame could not be understood"),
        (b"\xff\r\n" * 3, "3 frames could not be understood"),
        (b"[" * 100_000 + b"\r\n", "1 frame could not be understood"),
        (b'{"topicID": 0}\r\n', "1 frame could not be understood"),
        (b"", r"the TMA closed the connection after \d+\.\d s of 10 s"),
    ],
)
async def test_live_without_frames(capsys: pytest.CaptureFixture[str], line: bytes, reason: str) -> None:
    async with serve(line) as live:
        status = await asyncio.to_thread(main, [live, "tma:packaged", "--json"])
    assert status == 2
    output = capsys.readouterr()
    assert "expected frames of topics, got none" in output.err
    assert re.search(reason, output.err)
    assert re.search(reason, json.loads(output.out)["error"])
    assert "within" not in output.err


@pytest.mark.parametrize(
    ("line", "reason"), [(b"", "none came"), (b"x\n" * 1000, "bytes without the end of a frame came")]
)
async def test_live_silent(capsys: pytest.CaptureFixture[str], line: bytes, reason: str) -> None:
    async with serve(line, closes=False) as live:
        status = await asyncio.to_thread(main, [live, "tma:packaged", "--duration", "0.5"])
    assert status == 2
    assert f"got none: {reason} within 0.5 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("frames", "kind", "what"),
    [
        ([{"actualTorque": ...}, {}], "member", "has actualTorque not in all frames (1 of 2)"),
        *(
            (
                [{"actualTorque": value}, {}],
                "type",
                "has values of actualTorque that no type takes, in 1 of 2 frames",
            )
            for value in VALUES_OF_NO_TYPE
        ),
        (
            [{"wind-load": 1, "a b": 1, "": 1, "\x1b": 1, "wind\xe9": 1, "6": 1}],
            "member",
            "also sends names that no map can have: 'wind-load', 'a b', '', '\\x1b', 'wind\xe9' and 1 more",
        ),
    ],
)
@pytest.mark.parametrize("other", ["tma:packaged", "sal:packaged"])
async def test_live_frames_that_lose(
    capsys: pytest.CaptureFixture[str], frames: list[dict[str, Any]], kind: str, what: str, other: str
) -> None:
    async with serve(*(make_frame(**changes) for changes in frames)) as live:
        status, differences = await asyncio.to_thread(compare, capsys, live, other)
    assert status == 1
    assert (kind, what, True) in [
        (difference["kind"], difference["what"], difference["is_loss"])
        for difference in differences
        if difference["topic"] == "azimuth"
    ]


DROPPED = "1 frames are dropped"


@pytest.mark.parametrize(
    ("sal_type", "value", "what", "effect"),
    [
        ("int", 2**31, "that int does not hold", DROPPED),
        ("int", -(2**31) - 1, "that int does not hold", DROPPED),
        ("short", 1e300, "that short does not hold", DROPPED),
        ("int", math.nan, "that int does not hold", DROPPED),
        ("long long", 2**63, "that long long does not hold", DROPPED),
        ("long long", -math.inf, "that long long does not hold", DROPPED),
        ("unsigned int", -(2.0**64), "that unsigned int does not hold", DROPPED),
        ("double", 10**400, "that double does not hold", DROPPED),
        ("float", -(10**400), "that float does not hold", DROPPED),
        ("int", 1.5, "that are not whole, as int is", "the decimals are cut off"),
        ("int", 2**31 - 0.5, "that are not whole, as int is", "the decimals are cut off"),
        ("int", -(2**31), None, None),
        ("long long", 2**63 - 1, None, None),
        ("long long", 7.0, None, None),
        ("boolean", 10**400, None, None),
        ("double", math.inf, None, None),
    ],
)
async def test_live_numbers_that_a_type_does_not_hold(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    sal_type: str,
    value: float,
    what: str | None,
    effect: str | None,
) -> None:
    """They are told, as the client takes them."""
    name = "actualTorque"
    azimuth = PACKAGED.by_name["azimuth"]
    topic = replace(
        azimuth,
        members=tuple(
            replace(member, sal_type=sal_type) if member.name == name else member
            for member in azimuth.members
        ),
    )
    taken = write_changed(tmp_path / "a.csv", "azimuth", members=topic.members)
    frames = [make_frame(**{name: value}), make_frame()]
    if AVRO_TYPES[sal_type] in ("int", "long"):
        frames[1] = make_frame(**{name: 1})
    async with serve(*frames) as live:
        _, differences = await asyncio.to_thread(compare, capsys, live, taken)
    found = [
        (difference["what"], difference["effect"])
        for difference in differences
        if difference["topic"] == "azimuth" and difference["kind"] == "type" and difference["is_loss"]
    ]
    assert found == ([(f"has values of {name} {what}, in 1 of 2 frames", effect)] if what else [])
    fields = [(field, AVRO_TYPES[members[0].sal_type or ""], 1) for field, members in topic.fields.items()]
    record = Record(fields, schema_id=None, rev_code="", origin=0)
    codec = make_codec(topic, "", record, choose_fields(topic, record))
    with pytest.raises(FrameError) if effect == DROPPED else nullcontext():
        codec.decode_frame(frames[0].rstrip())


async def test_live_numbers_that_sals_type_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    names = PACKAGED.by_name["encoder"].by_name
    frame = {"topicID": PACKAGED.by_name["encoder"].topic_id, **dict.fromkeys(names, 1)}
    name = "encoderHeadReadReferenceAZ4"
    async with serve(json.dumps(frame | {name: 2**63}).encode() + b"\r\n") as live:
        status, differences = await asyncio.to_thread(compare, capsys, live, "sal:packaged")
    assert status == 1
    assert f"has values of {name} that long long does not hold, in 1 of 1 frames" in [
        difference["what"] for difference in differences
    ]


async def test_live_remarks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed_interface, "MAX_TOPICS", 1)
    async with serve(make_frame(), make_frame(topicID=7), b"x\r\n") as live:
        await asyncio.to_thread(main, [live, "tma:packaged"])
    errors = capsys.readouterr().err
    assert re.search(r"the TMA closed the connection after \d+\.\d s of 10 s", errors)
    assert "1 frame could not be understood" in errors
    assert "frames of topics beyond the first 1 were left out: 1" in errors


async def test_live_members_have_a_bound(capsys: pytest.CaptureFixture[str]) -> None:
    # Names of 54 MB.
    frames = [json.dumps({"topicID": 7, f"{i}{'a' * 900_000}": 0}).encode() + b"\r\n" for i in range(60)]
    async with serve(*frames, make_frame()) as live:
        await asyncio.to_thread(main, [live, "tma:packaged"])
    assert "members were left out, as they are too many or too long: of 1 topic\n" in capsys.readouterr().err


async def test_what_is_live_is_what_is_sent(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "interface.csv"
    async with serve(make_frame()) as live:
        await asyncio.to_thread(main, ["tma:packaged", live, "--json", "--export", str(path)])
    (pair,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (pair["first"], pair["second"]) == (live, "tma:packaged")
    assert path.read_text() == format_table(PACKAGED)


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = write_changed(tmp_path / "a", "azimuth", **without(PACKAGED.by_name["azimuth"], "actualTorque"))
    _, (difference,) = compare(capsys, changed, "tma:packaged")
    assert difference == {
        "topic": "azimuth",
        "what": "does not send actualTorque",
        "effect": "each frame is dropped",
        "is_loss": True,
        "kind": "member",
        "member": "actualTorque",
    }
    assert main(["tma:packaged", "tma:/nowhere", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"error": "/nowhere: No such file or directory"}


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
