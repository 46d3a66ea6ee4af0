"""A writer that is stuck stops nobody."""

from __future__ import annotations

import threading

from lsst.ts.mtmount.resilience.writer_thread import WriterThread

TIMEOUT = 60.0


class Target:
    """Takes what is written, once it may."""

    def __init__(self) -> None:
        self.may_write = threading.Event()
        self.written: list[str] = []

    def write(self, item: str) -> None:
        assert self.may_write.wait(TIMEOUT)
        self.written.append(item)

    def write_dropped(self, number: int) -> None:
        self.written.append(f"{number} dropped")


def test_what_does_not_fit_is_counted_and_told() -> None:
    target = Target()
    writer = WriterThread("test", target.write, target.write_dropped, 10)
    assert [writer.put(name, 5) for name in "abcd"] == [True, True, False, False]
    assert not writer.put("larger than all", 11)
    assert not writer.wait_written(0.0)
    target.may_write.set()
    assert writer.wait_written(TIMEOUT)
    assert writer.put("e", 10)
    assert writer.close(TIMEOUT)
    assert target.written == ["a", "b", "3 dropped", "e"]
    assert not writer.put("f", 1)
    assert writer.num_dropped == 4


def test_close_does_not_wait_for_what_is_stuck_but_tells_at_the_end() -> None:
    target = Target()
    writer = WriterThread("test", target.write, target.write_dropped, 10)
    assert writer.put("a", 10)
    assert not writer.put("b", 1)
    assert not writer.close(0.01)
    target.may_write.set()
    assert writer.close(TIMEOUT)
    assert target.written == ["a", "1 dropped"]


def test_nothing_was_written() -> None:
    target = Target()
    assert WriterThread("test", target.write, target.write_dropped, 10).close(0.0)


def test_order_is_kept_between_threads() -> None:
    target = Target()
    target.may_write.set()
    writer = WriterThread("test", target.write, target.write_dropped, 1 << 20)

    def put_all(name: str) -> None:
        for number in range(1000):
            assert writer.put(f"{name}{number}", 1)

    threads = [threading.Thread(target=put_all, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.close(TIMEOUT)
    for name in "ab":
        numbers = [int(item[1:]) for item in target.written if item[0] == name]
        assert numbers == list(range(1000))
