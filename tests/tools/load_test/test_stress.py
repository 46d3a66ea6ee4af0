"""The stress test, as a program, and its reports."""

import asyncio
import html.parser
import json
import math
import os
import re
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lsst.ts.mtmount.commands.stress import main, make_parser, make_plans, parse_arguments
from lsst.ts.mtmount.core import FRAME_DECODABLE
from lsst.ts.mtmount.recording.mcap_writer import RecordingFile
from lsst.ts.mtmount.tma_interface import format_table, load_packaged_tma_interface, load_tma_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.load_test.kafka_target import EMBEDDED, TargetChoice
from lsst.ts.mtmount.tools.load_test.load_run import ReadMode, RunPlan
from lsst.ts.mtmount.tools.load_test.tma_stream import TmaStream, count_due_frames

from ...programs import find_program
from ...recording.frames import make_stream, record, record_seconds
from ...tma_interface.new_software import write_new_file

FAULTY_CLIENT = Path(__file__).parent / "faulty_client.py"
TIMEOUT = 90
VOID_TAGS = {"meta", "br"}


class PageChecker(html.parser.HTMLParser):
    """Sees whether tags match, and that nothing is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in VOID_TAGS:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag


async def run(*arguments: str, folder: Path) -> tuple[int | None, str]:
    async with asyncio.timeout(TIMEOUT):
        process = await asyncio.create_subprocess_exec(
            *(find_program("stress_mtmount_telemetry"), *arguments),
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    return process.returncode, output.decode()


def check_page(text: str) -> None:
    page = PageChecker()
    page.feed(text)
    page.close()
    assert page.open_tags == []
    assert {"table", "svg", "path", "figure"} <= page.tags
    assert "@import" not in text
    assert "url(" not in text
    for figure in re.findall(r"<figure>.*?</figure>", text, re.DOTALL):
        ElementTree.fromstring(figure)


@pytest.mark.slow
async def test_reports(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    options = ("--rate", "2,max", "--duration", "1", "--interval", "0.1", "--output", str(folder))
    status, output = await run(*options, folder=tmp_path)
    assert status == 0, output
    assert "PASSED" in output
    assert "Counted: at this rate" in output
    figures = json.loads((folder / "stress.json").read_text())
    assert figures["passed"] is True
    slow, fast = figures["runs"]
    assert (slow["rate"], slow["read_mode"], fast["rate"], fast["read_mode"]) == (
        *("2x", "decode"),
        *("max", "count"),
    )
    for result in (slow, fast):
        assert (result["passed"], result["problems"]) == (True, [])
        account = result["account"]
        counters = account["counters"]
        assert account["sent"] == counters["frames"] == counters["published"] == counters["acknowledged"]
        assert account["sent"] == account["written"] == sum(result["simulator"]["frames_by_topic"].values())
        assert account["lost"] == 0
        assert result["latency_s"]["p50"] <= result["latency_s"]["p99.9"] <= result["latency_s"]["max"]
        assert 0 < result["cpu_share"]["client"] < 4
        columns = result["samples"]
        assert len({len(column) for column in columns.values()}) == 1
    assert slow["account"]["sent"] == slow["account"]["decoded"] == count_due_frames(2, 1)
    assert len(slow["account"]["topics"]) == 26
    check_page((folder / "stress.html").read_text())


@pytest.mark.slow
async def test_another_interface(tmp_path: Path) -> None:
    """Both clients and the simulator get the same; what SAL lacks is unsupported, and that is said."""
    file = str(write_new_file(tmp_path / "TelemetryTopicsConfiguration.ini"))
    options = ("--rate", "5", "--duration", "1", "--compare", "plain", "--output", str(tmp_path))
    status, output = await run(*options, "--tma-interface", file, folder=tmp_path)
    assert status == 0, output
    topics = "encoderHeads (50 frames), unknownToSal (50 frames)"
    for client in ("telemetry client", "plain client"):
        assert f"{client} 5x: Unsupported, as SAL lacks these topics: {topics}" in output
    for result in json.loads((tmp_path / "stress.json").read_text())["runs"]:
        account = result["account"]
        assert account["unsupported"] == {"encoderHeads": 50, "unknownToSal": 50}
        assert (account["counters"]["unsupported"], account["counters"]["published"]) == (100, 300)
        assert account["sent"] == 400
        assert account["topics"].keys() == {"azimuth", "azimuthDrives", "elevation"}
    page = (tmp_path / "stress.html").read_text()
    check_page(page)
    assert f"Unsupported, as SAL lacks these topics: {topics}" in page


@pytest.mark.slow
async def test_a_client_with_another_interface_is_told(tmp_path: Path) -> None:
    """The client's own option wins: it then drops what lacks a member, and the run fails."""
    file = str(write_new_file(tmp_path / "TelemetryTopicsConfiguration.ini"))
    table = tmp_path / "packaged.csv"
    table.write_text(format_table(load_packaged_tma_interface()))
    code = "import sys, mtmount_telemetry_launcher as launcher; sys.exit(launcher.run_client())"
    report = "--report {report} --report-interval {interval}"
    client = f"{sys.executable} -c '{code}' --host {{host}} --port {{port}} --tma-interface {table} {report}"
    options = ("--rate", "1", "--duration", "1", "--client-command", client)
    status, output = await run(*options, "--tma-interface", file, folder=tmp_path)
    assert status == 1
    assert "the client dropped 20 frames (missing field: 20)" in output


#: What the client must not publish: the last one lacks members.
BAD_FRAMES = (b"no JSON", b'{"topicID": 99}', b'{"topicID": 6, "timestamp": 1.0}')


@pytest.mark.slow
async def test_replay(tmp_path: Path) -> None:
    num_frames = await record_seconds(tmp_path / "night", *BAD_FRAMES, duration=2.0)
    options = ("--replay", str(tmp_path / "night"), "--rate", "1,100,max", "--output", str(tmp_path))
    status, output = await run(*options, folder=tmp_path)
    assert status == 0, output
    assert "telemetry client, a recording at 1x: " in output
    assert "telemetry client 1x: 2 frames of the recording cannot be published" in output
    assert (
        "telemetry client max: Unsupported, as SAL lacks these topics: unknown topic IDs (1 frames)" in output
    )
    as_recorded, fast, fastest = json.loads((tmp_path / "stress.json").read_text())["runs"]
    assert as_recorded["read_back"]["compared"]
    assert as_recorded["account"]["decoded"] == num_frames
    # Never faster; how much slower depends on the computer.
    assert as_recorded["elapsed_s"] > 1.5
    for result in (as_recorded, fast, fastest):
        account = result["account"]
        assert (account["sent"], account["written"]) == (num_frames + 3, num_frames)
        assert (account["invalid"], account["unsupported"]) == (2, {"unknown topic IDs": 1})
        assert account["counters"]["total_dropped"] == 2
        assert account["counters"]["frames"] == num_frames + 3
    check_page((tmp_path / "stress.html").read_text())


@pytest.mark.slow
async def test_replay_through_a_client_that_loses_a_frame(tmp_path: Path) -> None:
    await record_seconds(tmp_path / "night")
    client = f"{sys.executable} {FAULTY_CLIENT} --fault alter"
    options = ("--replay", str(tmp_path / "night"), "--client-command", client)
    status, output = await run(*options, folder=tmp_path)
    assert status == 1
    assert "1 records are wrong" in output


@pytest.mark.slow
async def test_replay_of_some_topics_at_max(tmp_path: Path) -> None:
    """Another topic than usual is read back."""
    lines = make_stream(40).splitlines(keepends=True)
    record(tmp_path / "night", b"".join(line for line in lines if b'"topicID": 5,' in line))
    options = ("--replay", str(tmp_path / "night"), "--rate", "max", "--output", str(tmp_path))
    status, output = await run(*options, folder=tmp_path)
    assert status == 0, output
    (result,) = json.loads((tmp_path / "stress.json").read_text())["runs"]
    assert {name: topic["decoded"] for name, topic in result["read_back"]["topics"].items()} == {
        "azimuthDrives": 100
    }


def test_gap_that_would_end_the_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = RecordingFile(tmp_path, "", "--record", load_packaged_tma_interface())
    start = time.monotonic_ns()
    for seconds in (0, 5):
        frame = b'{"topicID": 6}'
        recorder.write((FRAME_DECODABLE, 6, math.nan, len(frame), frame), start + seconds * 10**9)
    recorder.close()
    with pytest.raises(SystemExit) as caught:
        main(["--replay", str(tmp_path), "--rate", "100,4"])
    assert caught.value.code == 2
    assert "expected no gap over 1 s, which ends a client, got one of 1.25 s at 4x" in capsys.readouterr().err


@pytest.mark.slow
async def test_replay_with_the_interface_that_was_recorded(tmp_path: Path) -> None:
    """What was recorded as unknown is published by a client that knows it, and judged so."""
    interface = load_tma_interface(write_new_file(tmp_path / "new.ini"))
    record(tmp_path / "night", make_stream(20, interface))
    options = ("--replay", str(tmp_path / "night"), "--output", str(tmp_path))
    status, output = await run(*options, "--tma-interface", str(tmp_path / "new.ini"), folder=tmp_path)
    assert status == 0, output
    account = json.loads((tmp_path / "stress.json").read_text())["runs"][0]["account"]
    assert (account["sent"], account["written"], account["invalid"]) == (80, 60, 0)
    assert account["unsupported"] == {"encoderHeads": 10, "unknownToSal": 10}
    # The packaged map drops what lacks a member.
    status, output = await run(*options, folder=tmp_path)
    assert status == 0, output
    account = json.loads((tmp_path / "stress.json").read_text())["runs"][0]["account"]
    assert (account["written"], account["invalid"]) == (40, 20)


@pytest.mark.slow
async def test_fails_if_a_frame_is_lost(tmp_path: Path) -> None:
    client = f"{sys.executable} {FAULTY_CLIENT} --fault drop"
    options = ("--rate", "1", "--duration", "1", "--client-command", client, "--output", str(tmp_path))
    status, output = await run(*options, folder=tmp_path)
    assert status == 1
    assert "1 frames were lost" in output
    figures = json.loads((tmp_path / "stress.json").read_text())
    assert figures["passed"] is False
    assert figures["runs"][0]["account"]["counters"] is None
    page = (tmp_path / "stress.html").read_text()
    check_page(page)
    assert "1 frames were lost" in page


@pytest.mark.slow
async def test_given_kafka(tmp_path: Path, embedded_kafka: EmbeddedKafka, sal_environment: str) -> None:
    options = ("--broker", embedded_kafka.bootstrap_servers, "--registry", embedded_kafka.registry_url)
    status, output = await run("--rate", "2", "--duration", "0.5", *options, folder=tmp_path)
    assert status == 0, output
    assert f"Kafka at {embedded_kafka.bootstrap_servers}" in output


@pytest.mark.slow
async def test_comparison(tmp_path: Path) -> None:
    options = ("--rate", "max", "--duration", "2", "--compare", "plain", "--output", str(tmp_path))
    status, output = await run(*options, folder=tmp_path)
    assert status == 0, output
    ours, plain = json.loads((tmp_path / "stress.json").read_text())["runs"]
    assert (ours["client"], plain["client"]) == ("telemetry client", "plain client")
    assert ours["frames_per_s"] > plain["frames_per_s"]
    assert ours["client_cpu_us_per_frame"] < plain["client_cpu_us_per_frame"]


def plan(*arguments: str, target: TargetChoice = EMBEDDED) -> list[RunPlan]:
    return make_plans(parse_arguments(make_parser(), arguments), target, TmaStream())


def test_plans() -> None:
    plans = plan("--rate", "1,max", "--compare", "plain")
    assert [(plan.client.name, plan.rate, plan.read_mode) for plan in plans] == [
        ("telemetry client", 1.0, ReadMode.DECODE),
        ("telemetry client", math.inf, ReadMode.COUNT),
        ("plain client", 1.0, ReadMode.DECODE),
        ("plain client", math.inf, ReadMode.COUNT),
    ]


@pytest.mark.parametrize(
    ("wanted", "target", "modes"),
    [
        ("auto", EMBEDDED, [ReadMode.DECODE, ReadMode.COUNT, ReadMode.COUNT]),
        ("auto", TargetChoice({}), [ReadMode.DECODE, ReadMode.DECODE, ReadMode.COUNT]),
        ("count", TargetChoice({}), [ReadMode.COUNT] * 3),
        ("decode", EMBEDDED, [ReadMode.DECODE] * 3),
    ],
)
def test_read_mode(wanted: str, target: TargetChoice, modes: list[ReadMode]) -> None:
    plans = plan("--rate", "10,100,max", "--read", wanted, target=target)
    assert [plan.read_mode for plan in plans] == modes


def test_rates() -> None:
    assert [plan.rate for plan in plan("--rate", "1, 10,0.5,max")] == [1, 10, 0.5, math.inf]
    assert [plan.rate for plan in plan()] == [1, 10, 100, math.inf]


def test_soak_is_one_long_run() -> None:
    (soak,) = plan("--soak")
    assert (soak.rate, soak.duration, soak.interval, soak.read_mode) == (20, 1800, 2, ReadMode.COUNT)
    assert plan("--soak", target=TargetChoice({}))[0].read_mode is ReadMode.DECODE


async def test_client_that_dies_at_once_is_told(tmp_path: Path) -> None:
    client = "sh -c 'echo bad; printf \"no \\033[31mbroker\\n\" >&2; exit 7'"
    status, output = await run("--rate", "1", "--duration", "1", "--client-command", client, folder=tmp_path)
    assert status == 1
    assert "the client ended with status 7 before its first record" in output
    assert r"client: no \x1b[31mbroker" in output
    assert "\033" not in output


@pytest.mark.parametrize("mode", [[], ["--soak"]])
@pytest.mark.parametrize("what", ["file", "FIFO"])
def test_output_is_checked_at_the_start(
    what: str, mode: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long run must not find at its end that its results cannot be written."""
    folder = tmp_path / "out"
    if what == "file":
        folder.touch()
    else:
        folder.mkdir()
        os.mkfifo(folder / ("soak.json" if mode else "stress.json"))
    with pytest.raises(SystemExit) as caught:
        main(["--output", str(folder), *mode])
    assert caught.value.code == 2
    assert f"argument --output: {folder}" in (error := capsys.readouterr().err)
    assert f"got a {what}" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate", "1,"],
        ["--rate", "0"],
        ["--duration", "-1"],
        ["--interval", "nan"],
        ["--compare", "nothing"],
        ["--broker", "localhost:1"],
        ["--registry", "http://localhost:1"],
        ["--external", "--broker", "localhost:1", "--registry", "http://localhost:1"],
        ["--rate", "max", "--soak"],
        ["--rate", "1,2", "--soak"],
        ["--compare", "plain", "--soak"],
        ["--seed", "-1"],
        ["--seed", "3", "--replay", "x"],
        ["--duration", "3", "--replay", "x"],
        ["--soak", "--replay", "x"],
        ["--replay", "/dev/null/x"],
        ["--replay", "/nowhere"],
        ["--replay", "/proc/self/status"],
        ["--tma-interface", "/nowhere"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert arguments[0] in error or arguments[-1] in error
