"""What ``--check`` tells of servers that are no TMA, or end the connection."""

import socket

import pytest

from lsst.ts.mtmount.program.health_check.finding import Finding, Status
from lsst.ts.mtmount.program.health_check.tma_arrivals import check_tma
from lsst.ts.mtmount.tma_interface import load_packaged_tma_interface

from ..test_telemetry_client import golden_frame
from ..thread_server import serve

ADVICE = "check --port: is it the TMA's?"


def check(data: bytes, *, is_closing: bool) -> Finding:
    """Check a server that sends some bytes, and closes the connection or waits for its end."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(data)
        if not is_closing:
            connection.recv(1)

    with serve(answer) as port:
        (finding,) = check_tma(
            "127.0.0.1", port, load_packaged_tma_interface(), [], None, accept_incomplete=False
        )
    assert finding.subject == f"TMA 127.0.0.1:{port}"
    assert finding.status is Status.FAILED
    return finding


@pytest.mark.parametrize(
    ("data", "found", "advice"),
    [
        (b"", "", "it may serve one client only: end the other"),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            r" after 26 bytes, starting with 'HTTP/1.1 400 Bad Request\r\n'",
            ADVICE,
        ),
        (b"x", " after 1 byte, starting with 'x'", ADVICE),
        (bytes(3) + b"\x1b\xff", r" after 5 bytes, starting with '\x00\x00\x00\x1b\xff'", ADVICE),
        (100_000 * b"x", f" after 100000 bytes, starting with '{40 * 'x'}...'", ADVICE),
        (golden_frame("azimuth") + b"\r\n", " after ", ""),
    ],
    ids=["nothing", "HTTP", "one byte", "binary", "long", "a good frame"],
)
def test_what_came_before_the_end_of_the_connection_is_told(data: bytes, found: str, advice: str) -> None:
    finding = check(data, is_closing=True)
    assert finding.found.startswith(f"it closed the connection{found}")
    assert finding.advice == advice


def test_bytes_without_a_terminator_are_told() -> None:
    finding = check(b"220 mail\n", is_closing=False)
    assert finding.found == (
        r"connected (a second connection), but no whole frame in 2 s: 9 bytes, starting with '220 mail\n'"
    )
    assert finding.advice == ADVICE


def test_a_silent_server_is_told() -> None:
    finding = check(b"", is_closing=False)
    assert finding.found == "connected (a second connection), but no telemetry in 2 s"
    assert finding.advice == ""
