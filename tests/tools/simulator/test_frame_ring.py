import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lsst.ts.mtmount.sal.tai import TaiClock
from lsst.ts.mtmount.tools.simulator import FrameRing, FrameStream, StreamTotals, render_ring, select_topics
from lsst.ts.mtmount.tools.simulator.frame_stream import MAX_CHUNK_TICKS
from lsst.ts.mtmount.tools.simulator.schedule import SimulatedTopic, count_cycle_ticks

from .helpers import PERIODS, count_due, count_topics, parse_frames, read_wire_members

TAI = 1732400037.123456


@pytest.fixture(scope="module")
def topics() -> list[SimulatedTopic]:
    return select_topics()


@pytest.fixture(scope="module")
def ring(topics: list[SimulatedTopic]) -> FrameRing:
    return render_ring(topics, seed=3, min_ticks=200)


def make_stream(ring: FrameRing) -> tuple[FrameStream, StreamTotals]:
    totals = StreamTotals(np.zeros(len(ring.topics), np.int64))
    return FrameStream(ring, totals), totals


def read_ticks(ring: FrameRing, num_ticks: int, tai: float = TAI) -> list[list[dict[str, Any]]]:
    """Read the frames of each tick."""
    stream, _ = make_stream(ring)
    return [parse_frames(bytes(stream.prepare(1, tai))) for _ in range(num_ticks)]


def test_topics_have_the_periods_of_the_tma(topics: list[SimulatedTopic]) -> None:
    assert {topic.topic_id: topic.period for topic in topics} == PERIODS
    assert count_cycle_ticks(topics) == 100


def test_each_tick_has_exactly_the_topics_that_are_due(ring: FrameRing) -> None:
    # More ticks than the ring has: the second time round is no different.
    for tick, frames in enumerate(read_ticks(ring, 450)):
        expected = [topic_id for topic_id in sorted(PERIODS) if tick % PERIODS[topic_id] == 0]
        assert [frame["topicID"] for frame in frames] == expected


def test_full_rate_is_218_frames_a_second(ring: FrameRing) -> None:
    # 100 ticks are 5 s.
    assert sum(len(frames) for frames in read_ticks(ring, 100)) / 5 == 218.2


def test_frames_have_exactly_the_wire_members_in_order(ring: FrameRing) -> None:
    expected = read_wire_members()
    assert expected.keys() == PERIODS.keys()
    for frames in read_ticks(ring, 101):
        for frame in frames:
            assert list(frame) == expected[frame["topicID"]]


def test_frames_are_as_large_as_the_tmas(ring: FrameRing) -> None:
    stream, _ = make_stream(ring)
    sizes: dict[int, int] = {}
    total = num_frames = 0
    for _ in range(100):
        for frame in bytes(stream.prepare(1, TAI)).splitlines(keepends=True):
            sizes[json.loads(frame)["topicID"]] = len(frame)
            total += len(frame)
            num_frames += 1
    assert min(sizes.values()) == sizes[21] == pytest.approx(212, abs=5)
    assert max(sizes.values()) == sizes[25] == pytest.approx(19_000, abs=500)
    assert total / num_frames == pytest.approx(1200, abs=50)


def test_numbers_are_in_fixed_notation(ring: FrameRing) -> None:
    stream, _ = make_stream(ring)
    data = bytes(stream.prepare(20, TAI))
    shapes = {re.sub(rb"-?\d+", b"0", value) for value in re.findall(rb": ([^,}]+)", data)}
    assert shapes == {b"0.0", b"0", b"true", b"false"}
    decimals = {len(fraction) for fraction in re.findall(rb"\.(\d+)", data)}
    assert decimals == {6}


def expected_type(name: str) -> type:
    if name == "topicID":
        return int
    if name.endswith("imestamp"):
        return float
    return {"encoderHeadReadReference": int, "blown": bool}.get(re.split(r"A|E", name)[0], float)


def test_types_are_those_of_the_sal_fields(ring: FrameRing) -> None:
    for frames in read_ticks(ring, 1):
        for frame in frames:
            assert {name: type(value) for name, value in frame.items()} == {
                name: expected_type(name) for name in frame
            }


def test_values_move(ring: FrameRing) -> None:
    seen: dict[tuple[int, str], set[Any]] = {}
    for frames in read_ticks(ring, 200):
        for frame in frames:
            for name, value in frame.items():
                if name != "topicID" and "imestamp" not in name:
                    seen.setdefault((frame["topicID"], name), set()).add(value)
    still = {member for member, values in seen.items() if len(values) < 2}
    # A fuse that blows for a twentieth of the time may be missed by a topic
    # that is sent in every tenth tick; nothing else stands still.
    assert all(name.startswith("blown") for _, name in still)
    assert any(True in values for (_, name), values in seen.items() if name.startswith("blown"))


def test_axes_move_as_their_velocities_tell(topics: list[SimulatedTopic]) -> None:
    ring = render_ring(topics, seed=0)
    ticks = read_ticks(ring, 600)
    for topic_id in (6, 15):
        frames = [frame for tick in ticks for frame in tick if frame["topicID"] == topic_id]
        positions = np.array([frame["demandPosition"] for frame in frames])
        velocities = np.array([frame["demandVelocity"] for frame in frames])
        assert np.ptp(positions) > 1
        assert np.diff(positions) / 0.05 == pytest.approx((velocities[1:] + velocities[:-1]) / 2, abs=1e-3)
        for name in ("Position", "Velocity"):
            differences = [frame[f"actual{name}"] - frame[f"demand{name}"] for frame in frames]
            assert 0 < np.max(np.abs(differences)) < 1e-3


def test_ring_has_no_seam(topics: list[SimulatedTopic]) -> None:
    ring = render_ring(topics, seed=0)
    positions = [
        frame["demandPosition"] for tick in read_ticks(ring, 1201) for frame in tick if frame["topicID"] == 6
    ]
    steps = [abs(after - before) for before, after in pairwise(positions)]
    assert max(steps) < 1.01 * max(steps[:590])


def test_same_seed_same_values(topics: list[SimulatedTopic]) -> None:
    assert render_ring(topics, 5, 100).data == render_ring(topics, 5, 100).data
    assert render_ring(topics, 5, 100).data != render_ring(topics, 6, 100).data


def test_values_do_not_depend_on_the_other_topics(topics: list[SimulatedTopic], ring: FrameRing) -> None:
    alone = render_ring(select_topics([25]), seed=3, min_ticks=200)
    among_all = [frame for tick in read_ticks(ring, 200) for frame in tick if frame["topicID"] == 25]
    assert [frame for tick in read_ticks(alone, 200) for frame in tick] == among_all


def test_time_stamps(ring: FrameRing) -> None:
    for tick in range(0, 300, 7):
        tai = TAI + tick
        stream, _ = make_stream(ring)
        stream.next_tick = tick
        for frame in parse_frames(bytes(stream.prepare(3, tai))):
            for name, value in frame.items():
                if name == "timestamp":
                    assert value == tai
                elif name.endswith("Timestamp"):
                    assert 0.0004 < tai - value < 0.010, name


def test_real_time_stamps_fit(ring: FrameRing) -> None:
    now = TaiClock().now()
    stream, _ = make_stream(ring)
    assert parse_frames(bytes(stream.prepare(1, now)))[0]["timestamp"] == pytest.approx(now, abs=1e-6)


def test_chunks_make_the_same_stream(ring: FrameRing) -> None:
    one_by_one, _ = make_stream(ring)
    expected = b"".join(bytes(one_by_one.prepare(1, TAI)) for _ in range(500))
    for num_ticks in (3, 17, MAX_CHUNK_TICKS, 1000):
        stream, totals = make_stream(ring)
        data = b""
        while stream.next_tick < 500:
            data += bytes(stream.prepare(min(num_ticks, 500 - stream.next_tick), TAI))
        assert data == expected
        assert totals.ticks == 500


def test_counts_what_is_handed_over(ring: FrameRing) -> None:
    stream, totals = make_stream(ring)
    num_bytes = 0
    while stream.next_tick < 250:
        chunk = stream.prepare(min(13, 250 - stream.next_tick), TAI)
        num_bytes += len(chunk)
        stream.account(len(chunk))
    ids = [topic.topic_id for topic in ring.topics]
    assert dict(zip(ids, totals.frames.tolist(), strict=True)) == count_due(250)
    assert totals.num_bytes == num_bytes


def test_counts_no_frame_that_is_not_whole(ring: FrameRing) -> None:
    data = bytes(make_stream(ring)[0].prepare(2, TAI))
    ends = [match.end() for match in re.finditer(rb"\r\n", data)]
    for end in (0, *ends):
        for num_bytes in (end - 1, end, end + 1):
            if 0 <= num_bytes <= len(data):
                stream, totals = make_stream(ring)
                stream.prepare(2, TAI)
                stream.account(num_bytes)
                assert totals.frames.sum() == sum(num_bytes >= whole for whole in ends)
                assert totals.num_bytes == num_bytes


def test_ticks_without_frames() -> None:
    stream, totals = make_stream(render_ring(select_topics(["oilSupplySystem"]), min_ticks=200))
    assert count_topics(parse_frames(bytes(stream.prepare(1, TAI)))) == {25: 1}
    chunk = stream.prepare(MAX_CHUNK_TICKS, TAI)
    stream.account(len(chunk))
    assert not chunk
    assert totals.frames.sum() == 0


#: Periods that repeat together only after days [ticks], each a topic; then one that comes once an hour.
LONG_SCHEDULES = [(1, 7, 11, 13, 17, 19, 71_999), (72_000,)]


@pytest.mark.parametrize("periods", LONG_SCHEDULES)
def test_a_schedule_of_any_length(topics: list[SimulatedTopic], periods: tuple[int, ...]) -> None:
    slow = [
        replace(topic, period=period, members=topic.members[:20])
        for topic, period in zip(topics, periods, strict=False)
    ]
    ring = render_ring(slow, seed=3)
    num_ticks = 72_100 if len(periods) == 1 else 1500
    stream, totals = make_stream(ring)
    again, _ = make_stream(ring)
    values = set()
    while stream.next_tick < num_ticks:
        tick = stream.next_tick
        # Chunks of any size are the same stream.
        chunk = bytes(stream.prepare(min(13, num_ticks - tick), TAI))
        stream.account(len(chunk))
        assert chunk == b"".join(bytes(again.prepare(1, TAI)) for _ in range(stream.next_tick - tick))
        expected = [
            topic.topic_id
            for due in range(tick, stream.next_tick)
            for topic in slow
            if due % topic.period == 0
        ]
        frames = parse_frames(chunk)
        assert [frame["topicID"] for frame in frames] == expected
        assert all(frame.get("timestamp", TAI) == TAI for frame in frames)
        values |= {str(frame) for frame in frames if frame["topicID"] == slow[0].topic_id}
    assert totals.frames.tolist() == [-(-num_ticks // period) for period in periods]
    assert len(values) > 1


@pytest.mark.parametrize("wanted", [[6, 25], ["25", "6"], ["azimuth", "oilSupplySystem", 6]])
def test_select_topics(wanted: list[int | str]) -> None:
    assert [topic.topic_id for topic in select_topics(wanted)] == [6, 25]


@pytest.mark.parametrize("wanted", [[], [20], ["azimut"], [""], [True]])
def test_select_topics_refuses(wanted: list[int | str]) -> None:
    with pytest.raises(ValueError, match="topics"):
        select_topics(wanted)


def test_ring_refuses() -> None:
    with pytest.raises(ValueError, match="topics to simulate, got none"):
        render_ring([])
    with pytest.raises(ValueError, match="seed of 0 or more, got -1"):
        render_ring(select_topics([6]), seed=-1)
