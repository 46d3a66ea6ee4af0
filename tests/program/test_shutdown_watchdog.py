import subprocess
import sys

TIMEOUT = 60

PROGRAM = """
import sys, threading, time
from lsst.ts.mtmount.program.shutdown_watchdog import ShutdownWatchdog, exit_within

with ShutdownWatchdog(float(sys.argv[1]), lambda text: print(text, flush=True)) as watchdog:
    watchdog.describe_loss = lambda: "3 messages"
    {action}
print("left", flush=True)
"""

BLOCK = "lock = threading.Lock(); lock.acquire(); lock.acquire()"


def run(action: str, limit: float) -> tuple[int, str]:
    command = [sys.executable, "-c", PROGRAM.format(action=action), str(limit)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False)
    return result.returncode, result.stdout


def test_blocked_program_is_ended_by_force() -> None:
    message = "Ended by force, 2.1 s after the end began; lost: 3 messages\n"
    assert run(f"watchdog.arm(); {BLOCK}", 2.1) == (1, message)


def test_signal_to_end_begins_the_count() -> None:
    status, output = run(f"watchdog.arm_on_signal(10); watchdog.arm_on_signal(15); {BLOCK}", 0.1)
    assert (status, output[:14]) == (1, "Ended by force")


def test_program_that_ends_in_time() -> None:
    assert run("watchdog.arm_on_signal(15)", 100) == (0, "left\n")
    assert run("watchdog.arm_on_signal(10); time.sleep(0.2)", 0.1) == (0, "left\n")


def test_report_that_hangs_does_not_keep_it_alive() -> None:
    action = f"watchdog.describe_loss = threading.Event().wait; watchdog.arm(); {BLOCK}"
    assert run(action, 0.1) == (1, "")


def test_exit_with_a_status() -> None:
    assert run(f"exit_within(0.1, 7); {BLOCK}", 100) == (7, "")
