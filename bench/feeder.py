"""A TMA that sends the mix when it is told to, as fast as it is taken.

Run as ``python -m bench.feeder``. It prints its port. For each line with a number
that it reads, it accepts a client, sends that many passes of the mix, and waits
until the client leaves.
"""

import socket
import sys
from contextlib import suppress

from .mix import MIX, find_workload

__all__ = ["main"]


def main() -> None:
    """Serve one client after the other, until standard input ends."""
    data = find_workload(MIX).data
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:
            client, _ = listener.accept()
            # Where a client leaves before it has read all, the connection is reset.
            with client, suppress(ConnectionError):
                for _ in range(int(line)):
                    client.sendall(data)
                # Nothing is sent by a client: this waits for the end.
                client.recv(1)


if __name__ == "__main__":
    main()
