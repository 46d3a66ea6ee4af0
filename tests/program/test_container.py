"""The program as in a container: process 1, a random user, a read-only root, no terminal, no locale."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..kafka_reader import KafkaReader

#: No user has this number: there is no name and no home.
UID = 4242421

PROGRAM = "import mtmount_telemetry_launcher as launcher, sys; sys.exit(launcher.run_client())"


def can_make_namespaces() -> bool:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None or os.geteuid() != 0:
        return False
    command = ["unshare", "--pid", "--fork", "--mount", "mount", "-o", "remount,bind,ro", "/"]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0


@pytest.mark.slow
async def test_the_program_runs_as_in_a_container(kafka_reader: KafkaReader) -> None:
    if not can_make_namespaces():
        pytest.skip("needs root, unshare and setpriv, and the right to make namespaces")
    script = (
        "mount -o remount,bind,ro / && "
        f'exec setpriv --reuid {UID} --regid {UID} --clear-groups --no-new-privs "$0" "$@"'
    )
    environment = {name: value for name, value in os.environ.items() if name.startswith("LSST_")}
    async with TmaSimulator() as simulator, asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"),
            *("sh", "-c", script, sys.executable, "-B", "-c", PROGRAM),
            *("--host", "127.0.0.1", "--port", str(simulator.port)),
            env={"PATH": "/usr/bin:/bin", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        try:
            await kafka_reader.read_count("azimuth", 3)
            # Process 1 of the namespace; as seen from here, the only child of unshare.
            (child,) = psutil.Process(process.pid).children()
            child.send_signal(signal.SIGTERM)
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, errors
    assert output.decode().endswith("MTMount telemetry client done\n")
    records = await kafka_reader.read_count("azimuth", 1)
    assert {record["private_origin"] for record in records} == {1}
