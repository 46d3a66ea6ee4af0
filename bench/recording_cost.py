"""Measures recordings: a minute of the simulated TMA, as the mcap library alone sees it, and what that takes.

Run as ``python -m bench.recording_cost``, or ``make bench-recording``. The page
``doc/benchmarks/recording.md`` is written if the length is that of the documentation.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mcap.reader import make_reader
from rich.console import Console
from rich.table import Table

from lsst.ts.mtmount.constants import LINE_TERMINATOR
from lsst.ts.mtmount.recording import Recorder, Recording, find_files, read_messages

from .pages import write_page
from .results import describe_machine
from .services import run_command
from .steps import Work, make_table, measure

__all__ = ["main"]

#: Length of the recording that the documentation shows [s].
DURATION = 60.0

#: The topic that is read as an array.
TOPIC = "azimuth"

#: What is handed to the recorder at once [bytes]: a tick of the full rate has some 15 kB.
CHUNK_SIZE = 16 * 1024


def record(folder: Path, duration: float) -> Path:
    """Record the simulated TMA at its full rate with ``record_tma_telemetry``; return the only file."""
    programs = Path(sys.executable).parent
    with run_command(str(programs / "run_mock_tma_telemetry"), "--port", "0") as tma:
        assert tma.stdout is not None
        port = tma.stdout.readline().partition("port=")[2].partition(";")[0]
        subprocess.run(
            [
                str(programs / "record_tma_telemetry"),
                *("--host", "127.0.0.1", "--port", port),
                *("--output", str(folder), "--duration", str(duration)),
            ],
            check=True,
            capture_output=True,
        )
    (path,) = find_files(folder)
    return path


def describe_file(path: Path) -> list[Table]:
    """Describe a recording by what the mcap library finds in it."""
    frames: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    num_gaps = 0
    with path.open("rb") as file:
        messages = make_reader(file).iter_messages(log_time_order=False)
        for number, (schema, channel, message) in enumerate(messages, 1):
            assert schema is not None and schema.encoding == "jsonschema"
            frames[channel.topic] += 1
            sizes[channel.topic] += len(message.data)
            num_gaps += message.sequence != number
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None and summary.statistics is not None
    statistics = summary.statistics
    assert statistics.message_count == frames.total()
    seconds = (statistics.message_end_time - statistics.message_start_time) / 1e9
    whole = Table(title="The file, read by the mcap library alone", title_justify="left")
    for head in ("topics", "frames", "seconds", "gaps", "chunks", "bytes a frame as received", "in the file"):
        whole.add_column(head, justify="right")
    num_frames = frames.total()
    whole.add_row(
        str(statistics.channel_count),
        f"{num_frames:,}",
        f"{seconds:.1f}",
        str(num_gaps),
        str(statistics.chunk_count),
        f"{sizes.total() / num_frames:.0f}",
        f"{path.stat().st_size / num_frames:.0f}",
    )
    by_topic = Table(title="Its topics", title_justify="left")
    by_topic.add_column("channel")
    for head in ("frames", "frames/s", "bytes a frame"):
        by_topic.add_column(head, justify="right")
    for topic, count in sorted(frames.items()):
        by_topic.add_row(topic, f"{count:,}", f"{count / seconds:.1f}", f"{sizes[topic] / count:.0f}")
    return [whole, by_topic]


def make_steps(path: Path, folder: Path) -> dict[str, Work]:
    """Make what is timed: each returns the number of frames."""
    data = [message.data for message in read_messages(path, print)]
    stream = b"".join(frame + LINE_TERMINATOR for frame in data)
    recording = Recording(path)

    def read_with_library() -> int:
        with path.open("rb") as file:
            return sum(1 for _ in make_reader(file).iter_messages(log_time_order=False))

    def read_and_parse_with_library() -> int:
        with path.open("rb") as file:
            messages = make_reader(file).iter_messages(log_time_order=False)
            return sum(1 for _, _, message in messages if json.loads(message.data))

    def read_columns() -> int:
        assert len(recording.read_columns(TOPIC)) == recording.topics[TOPIC]
        return len(data)

    def write() -> int:
        recorder = Recorder(folder, logging.getLogger("bench"), capacity=len(stream) + CHUNK_SIZE)
        recorder.open()
        for start in range(0, len(stream), CHUNK_SIZE):
            recorder.record(stream[start : start + CHUNK_SIZE])
        assert recorder.close(60.0)
        assert recorder.num_dropped == 0
        return recorder.num_recorded

    return {
        "the mcap library reads": read_with_library,
        "the mcap library reads, `json.loads` parses": read_and_parse_with_library,
        "this package reads": lambda: sum(1 for _ in read_messages(path, print)),
        f"this package reads, {TOPIC} as an array": read_columns,
        "this package records": write,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Record, measure, and print the tables; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.recording_cost", description=__doc__)
    parser.add_argument("--duration", type=float, default=DURATION, help="seconds (default: %(default)g)")
    args = parser.parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        path = record(Path(folder) / "minute", args.duration)
        tables = describe_file(path)
        steps = make_steps(path, Path(folder) / "written")
        tables.append(make_table("Processor's time", measure(steps)))
    console.print(*tables)
    if args.duration == DURATION:
        page = write_page(
            "recording", "A minute's recording", "make bench-recording", tables, describe_machine()
        )
        console.print(f"Written to {page}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
