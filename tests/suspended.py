"""Suspending a process: its sockets stay open, but nothing answers."""

import os
import signal

__all__ = ["resume_process", "suspend_process"]


def suspend_process(pid: int) -> None:
    """Suspend a child process, and wait until all its threads stand: until then some may still answer."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def resume_process(pid: int) -> None:
    """Let a suspended process go on."""
    os.kill(pid, signal.SIGCONT)
