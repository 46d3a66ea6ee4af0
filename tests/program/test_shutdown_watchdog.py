import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

TIMEOUT = 30

PROGRAM = """
import asyncio, logging, signal, sys, threading
from lsst.ts.mtmount.program.shutdown_watchdog import ShutdownWatchdog

logging.basicConfig(format="%(levelname)s %(message)s")
# Long enough for what ends by itself, if that is what the test wants.
limit = float(sys.argv[1])

def block():
    # As a call of a library does that waits for a server.
    lock = threading.Lock()
    lock.acquire()
    print("blocked", flush=True)
    lock.acquire()

async def main():
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: print("user signal", flush=True))
    with ShutdownWatchdog(limit, lambda: "3 messages", logging.getLogger("test")) as watchdog:
        {action}
    print("left", flush=True)
    {afterwards}

asyncio.run(main())
"""


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs; none outlives the test."""
    processes = []

    def start_one(action: str, *, limit: float, afterwards: str = "pass") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(action=action, afterwards=afterwards), str(limit)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start_one
    for process in processes:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_blocked_program_is_ended_by_force(start: Start, number: signal.Signals) -> None:
    process = start("block()", limit=0.2)
    assert read_line(process) == "blocked"
    # It is no reason to end that other signals come.
    process.send_signal(signal.SIGUSR1)
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert out == ""
    message = "Ended by force, 0.2 s after the end began; lost: 3 messages"
    assert err.splitlines() == [message, f"CRITICAL {message}"]


def test_a_program_that_begins_to_end_by_itself(start: Start) -> None:
    process = start("watchdog.arm(); block()", limit=0.1)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out) == (1, "blocked\n")
    assert "Ended by force" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_event_loop_gets_all_signals(start: Start, number: signal.Signals) -> None:
    process = start('print("ready", flush=True); await ended.wait()', limit=100)
    assert read_line(process) == "ready"
    process.send_signal(signal.SIGUSR1)
    assert read_line(process) == "user signal"
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out, err) == (0, "left\n", "")


def test_the_event_loop_gets_signals_afterwards(start: Start) -> None:
    process = start("pass", limit=100, afterwards="await ended.wait()")
    assert read_line(process) == "left"
    process.send_signal(signal.SIGUSR1)
    assert read_line(process) == "user signal"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, "")


def test_handlers_that_are_removed_meanwhile(start: Start) -> None:
    removed = "[loop.remove_signal_handler(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]"
    process = start(removed, limit=100, afterwards="assert signal.set_wakeup_fd(-1) == -1")
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out, err) == (0, "left\n", "")


def test_a_report_that_hangs_does_not_keep_it_alive(start: Start) -> None:
    process = start(
        "watchdog._describe_loss = threading.Event().wait; watchdog.arm(); block()",
        limit=0.1,
    )
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (1, "")
