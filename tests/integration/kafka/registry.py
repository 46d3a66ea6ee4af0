"""Apicurio Registry: a schema registry with Confluent's interface."""

from __future__ import annotations

import http.client
import shutil
import tempfile
from pathlib import Path
from typing import Self

from ...ports import LOOPBACK, find_free_port
from . import artifacts
from .process import ServerProcess

#: The part of Apicurio's address space that speaks as Confluent's registry does.
API_PATH = "/apis/ccompat/v7"

JAVA_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-Xmx384m")

#: Longest time of one question [s].
REQUEST_TIMEOUT = 10.0


class ApicurioRegistry:
    """A schema registry on the loopback interface; a context manager.

    Its schemas are in a file, so that they outlive `kill` and `restart`; `stop` removes them.
    """

    def __init__(self) -> None:
        self._port = 0
        self._folder = Path()
        self._process: ServerProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address for ``LSST_SCHEMA_REGISTRY_URL``."""
        return f"http://{LOOPBACK}:{self._port}{API_PATH}"

    def start(self) -> None:
        """Start the registry and wait until it answers.

        Raises
        ------
        ServerError
            If it does not start.
        ArtifactError
            If it cannot be fetched.
        """
        (runner,) = artifacts.fetch("registry").glob("*-runner.jar")
        self._port = find_free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="registry-"))
        settings = {
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": self._port,
            "apicurio.datasource.url": f"jdbc:h2:file:{self._folder / 'schemas'}",
            # The default of 20 takes longer to start.
            "apicurio.datasource.jdbc.initial-size": 2,
            "apicurio.datasource.jdbc.min-size": 2,
        }
        options = [f"-D{name}={value}" for name, value in settings.items()]
        command = ["java", *JAVA_OPTIONS, *options, "-jar", str(runner)]
        self._process = ServerProcess("Apicurio Registry", command, self._folder / "server.log")
        try:
            self.restart()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the registry and remove its schemas."""
        if self._process is not None:
            self._process.kill()
            self._process = None
            shutil.rmtree(self._folder)

    def kill(self) -> None:
        """End the registry at once (SIGKILL)."""
        self._get_process().kill()

    def restart(self) -> None:
        """Start the registry with the schemas it had, after an orderly end if it runs."""
        process = self._get_process()
        process.terminate()
        process.start()
        process.wait_ready(self._is_ready)

    def _get_process(self) -> ServerProcess:
        """Return the process."""
        if self._process is None:
            raise RuntimeError("the registry was not started")
        return self._process

    def _is_ready(self) -> bool:
        """Does it list its subjects?"""
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=REQUEST_TIMEOUT)
        try:
            connection.request("GET", f"{API_PATH}/subjects")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
