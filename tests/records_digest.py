"""Digests of the records that the core makes, to compare builds.

``python -m tests.records_digest`` prints them. With ``--same-as PYTHON`` it also
asks the package that this interpreter finds, and fails where they differ.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lsst.ts.mtmount.core import FrameBuffer, FrameError, TopicCodec, topic_codec
from lsst.ts.mtmount.tools.simulator import FrameStream, StreamTotals, render_ring, select_topics

from .core.topics import MIXED_ID, STAMP, UTC, golden_records, mixed_codec, packaged_codec
from .hostile.corpus import HOSTILE_FRAMES

#: A whole cycle of the schedule, several times [ticks].
NUM_TICKS = 1200
#: The simulator's seeds.
SEEDS = (0, 1)


def golden_frames() -> Iterator[tuple[int, bytes]]:
    """Yield the frames with published records, each twice."""
    for record in golden_records():
        for _ in range(2):
            yield record["topic_id"], record["line"].encode()


def simulated_frames() -> Iterator[tuple[int, bytes]]:
    """Yield the whole mix, as the TMA streams it."""
    topics = select_topics()
    for seed in SEEDS:
        ring = render_ring(topics, seed, NUM_TICKS)
        stream = FrameStream(ring, StreamTotals(ring.frame_counts[0].copy()))
        buffer = FrameBuffer(limit=1 << 20)
        while stream.next_tick < ring.num_ticks:
            buffer.feed(stream.prepare(1, STAMP + stream.next_tick))
            while (frame := buffer.next_frame()) is not None:
                yield int(frame.partition(b":")[2].partition(b",")[0]), frame


def hostile_frames() -> Iterator[tuple[int, bytes]]:
    """Yield frames at the limits of JSON and beyond."""
    for frame in HOSTILE_FRAMES.values():
        yield MIXED_ID, frame


def digest(frames: Iterator[tuple[int, bytes]]) -> str:
    """Describe the records that these frames make, one after the other."""
    codecs: dict[int, TopicCodec] = {}
    hashed = hashlib.sha256()
    num_refused = num_frames = 0
    for topic_id, frame in frames:
        if topic_id not in codecs:
            codecs[topic_id] = mixed_codec() if topic_id == MIXED_ID else packaged_codec(topic_id, 17)
        num_frames += 1
        try:
            codecs[topic_id].decode_frame(frame)
        except FrameError as error:
            num_refused += 1
            hashed.update(f"{error} {error.offset}".encode())
        hashed.update(codecs[topic_id].record.encode(STAMP, UTC))
    num_by_template = sum(codec.num_by_template for codec in codecs.values())
    return f"{hashed.hexdigest()} ({num_frames} frames, {num_by_template} by template, {num_refused} refused)"


KINDS: dict[str, Callable[[], Iterator[tuple[int, bytes]]]] = {
    "golden": golden_frames,
    "simulated": simulated_frames,
    "hostile": hostile_frames,
}


def main() -> int:
    """Print the digests; the status is 1 if those of the other interpreter differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.records_digest", description=__doc__)
    parser.add_argument("--same-as", metavar="PYTHON", help="interpreter of the other build")
    arguments = parser.parse_args()
    report = "".join(f"{kind:9} {digest(make_frames())}\n" for kind, make_frames in KINDS.items())
    print(f"{Path(topic_codec.__file__).parent}\n{report}", end="", flush=True)
    if arguments.same_as is None:
        return 0
    command = [arguments.same_as, "-m", "tests.records_digest"]
    location, _, other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.partition(
        "\n"
    )
    print(f"{location}\n{other}", end="")
    if other != report:
        print("The records differ.", file=sys.stderr)
        return 1
    print("The records are the same.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
