"""TCP ports on the loopback interface where nobody listens, until a test does."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"

#: Lowest port handed out.
FIRST_PORT = 15000

_handed_out: set[int] = set()


def find_free_ports(count: int) -> list[int]:
    """Find ports that no process listens at.

    They lie below the range that the kernel takes the ports of outgoing connections from: none of
    those can occupy the port of a server that is down for a while, or that does not run yet.

    Parameters
    ----------
    count : `int`
        How many.

    Returns
    -------
    list [int]
        Different ports; none is handed out twice by one process.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = list(range(FIRST_PORT, ephemeral))
    random.shuffle(candidates)
    ports: list[int] = []
    with ExitStack() as stack:
        for port in candidates:
            if len(ports) == count:
                break
            if port in _handed_out:
                continue
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(port)
    if len(ports) < count:
        raise RuntimeError(f"no {count} free ports from {FIRST_PORT} to {ephemeral}")
    _handed_out.update(ports)
    return ports


def find_free_port() -> int:
    """Find one such port."""
    return find_free_ports(1)[0]
