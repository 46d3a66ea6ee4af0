"""What is streamed in a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from lsst.ts.mtmount.tma_interface import TmaInterface, load_packaged_tma_interface, load_tma_interface
from lsst.ts.mtmount.tools.load_test.tma_stream import RecordedStream, TmaStream, count_due_frames

from ...recording.frames import make_stream, record
from ...tma_interface.new_software import write_new_file

PACKAGED = load_packaged_tma_interface()


def select(*names: str) -> TmaInterface:
    return TmaInterface(tuple(PACKAGED.by_name[name] for name in names))


def test_topics_that_sal_lacks(tmp_path: Path) -> None:
    stream = TmaStream(load_tma_interface(write_new_file(tmp_path / "new.ini")))
    assert [topic.sal_name for topic in stream.topics] == ["azimuthDrives", "azimuth", "elevation"]
    assert stream.unsupported == ["encoderHeads", "unknownToSal"]
    assert count_due_frames(1, 1, stream) == 60
    report = {"frames_by_topic": dict.fromkeys(stream.tma_interface.by_name, 3)}
    sent = stream.count_sent(report)
    assert (sent.published.total(), sent.unsupported.total(), sent.invalid) == (9, 6, 0)


def test_nothing_that_sal_has() -> None:
    topic = replace(PACKAGED.by_name["azimuth"], sal_topic="elevator")
    with pytest.raises(ValueError, match="a file: expected topics that SAL has, got none"):
        TmaStream(TmaInterface((topic,), "a file"))


@pytest.mark.parametrize(
    ("names", "sample"),
    [
        (("azimuth", "mainPowerSupply", "cooling"), "mainPowerSupply"),
        # Every 50 ms, and every 500 ms: that has more members, and sends less.
        (("azimuth", "compressedAir"), "compressedAir"),
        # Every 5 s: too seldom, unless there is nothing else.
        (("azimuth", "oilSupplySystem"), "azimuth"),
        (("oilSupplySystem",), "oilSupplySystem"),
    ],
)
def test_the_topic_that_is_read_back_alone(names: tuple[str, ...], sample: str) -> None:
    assert TmaStream(select(*names)).choose_sample("mainPowerSupply") == sample


def test_the_topic_that_is_read_back_alone_was_recorded(tmp_path: Path) -> None:
    record(tmp_path, make_stream(interface=select("azimuth", "cooling")))
    assert RecordedStream(tmp_path).choose_sample("mainPowerSupply") == "cooling"


def test_the_packaged_interface_needs_no_file(tmp_path: Path) -> None:
    assert TmaStream().write_interface(tmp_path) == {"MTMOUNT_TMA_INTERFACE": ""}
    stream = TmaStream(select("azimuth"))
    (path,) = stream.write_interface(tmp_path).values()
    assert load_tma_interface(path) == stream.tma_interface
