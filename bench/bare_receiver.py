"""A program that only receives the TMA's telemetry, and throws it away: what receiving with asyncio takes.

Run by `bench.pace`, in a process of its own, so that its processor's time is the receiver's.
"""

from __future__ import annotations

import argparse
import asyncio
import time

#: Not measured: the start [s].
WARM_UP = 1.0


class BareReceiver(asyncio.BufferedProtocol):
    """Receives into the same memory again and again, as the client does."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray(1 << 16))
        self.num_bytes = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer the memory."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Count what was received."""
        self.num_bytes += nbytes


async def receive(port: int, duration: float) -> float:
    """Receive for some time; return the share of a core that it takes."""
    loop = asyncio.get_running_loop()
    transport, receiver = await loop.create_connection(BareReceiver, "127.0.0.1", port)
    await asyncio.sleep(WARM_UP)
    start, cpu_start, num_bytes = time.monotonic(), time.process_time(), receiver.num_bytes
    await asyncio.sleep(duration)
    share = (time.process_time() - cpu_start) / (time.monotonic() - start)
    assert receiver.num_bytes > num_bytes
    transport.close()
    return share


def main() -> None:
    """Run the program; print the share of a core."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare_receiver", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="where the TMA listens")
    parser.add_argument("--duration", type=float, required=True, help="seconds")
    args = parser.parse_args()
    print(asyncio.run(receive(args.port, args.duration)))


if __name__ == "__main__":
    main()
