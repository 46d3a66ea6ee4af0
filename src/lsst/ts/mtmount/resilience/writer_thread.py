"""Writing in a thread, so that a pipe that is full or a disk that hangs stops nobody else."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["WriterThread"]

Item = TypeVar("Item")


class WriterThread(Generic[Item]):
    """A queue, bounded in bytes, and a daemon thread that writes what is in it.

    What does not fit into ``capacity`` [bytes] is dropped and counted in ``num_dropped``. Methods may
    be called from any thread, and none but `close` waits.

    In the thread, ``write`` is called with each item; ``write_dropped`` with the number of items that
    were dropped since the last call, before the next item that gets through, and at the end; and
    ``on_idle`` when nothing was to be written for ``idle_interval`` [seconds]. None of them may raise.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Item], object],
        write_dropped: Callable[[int], object],
        capacity: int,
        on_idle: Callable[[], object] | None = None,
        idle_interval: float | None = None,
    ) -> None:
        self.num_dropped = 0
        self._name = name
        self._write = write
        self._write_dropped = write_dropped
        self._capacity = capacity
        self._on_idle = on_idle
        self._idle_interval = idle_interval
        # Each with its size, and how many were dropped just before it.
        self._items: deque[tuple[Item, int, int]] = deque()
        self._num_bytes = 0
        self._num_unreported = 0
        self._is_closing = False
        self._is_closed = False
        self._thread: threading.Thread | None = None
        # Reentrant: a finalizer that logs may run anywhere.
        self._changed = threading.Condition(threading.RLock())

    def put(self, item: Item, size: int) -> bool:
        """Have an item written; it takes ``size`` of the capacity while it waits [bytes].

        Return False if it was dropped: there is no room, or this is closed.
        """
        with self._changed:
            if self._is_closing or self._num_bytes + size > self._capacity:
                self.num_dropped += 1
                self._num_unreported += 1
                return False
            self._items.append((item, size, self._num_unreported))
            self._num_bytes += size
            self._num_unreported = 0
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return True

    def close(self, timeout: float) -> bool:
        """Have written what waits, and end the thread; return whether everything was written.

        After the time-out [seconds] the thread is left alone, which stops nothing.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            if self._thread is None:
                return True
            return self._changed.wait_for(lambda: self._is_closed, timeout)

    def give_up(self) -> list[Item]:
        """Drop what waits, and return it."""
        with self._changed:
            rest = [item for item, _, _ in self._items]
            self._num_bytes -= sum(size for _, size, _ in self._items)
            self._num_unreported += len(rest) + sum(num_dropped for _, _, num_dropped in self._items)
            self.num_dropped += len(rest)
            self._items.clear()
        return rest

    def wait_written(self, timeout: float) -> bool:
        """Wait until nothing waits to be written; return whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._num_bytes, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                is_idle = not self._changed.wait_for(
                    lambda: self._items or self._is_closing, self._idle_interval
                )
            if is_idle and self._on_idle is not None:
                self._on_idle()
                continue
            with self._changed:
                if not self._items:
                    num_dropped, self._num_unreported = self._num_unreported, 0
                    break
                item, size, num_dropped = self._items.popleft()
            if num_dropped:
                self._write_dropped(num_dropped)
            self._write(item)
            with self._changed:
                self._num_bytes -= size
                if not self._num_bytes:
                    self._changed.notify_all()
        if num_dropped:
            self._write_dropped(num_dropped)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
