"""The monitor's page for browsers, beside a run."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from .child_program import ChildProgram, LoadTestError
from .client_command import make_own_command
from .kafka_target import KafkaTarget, TargetChoice

__all__ = ["TargetWithPage"]

#: How long the page may take to be there [s].
START_TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True)
class TargetWithPage(TargetChoice):
    """A Kafka with ``monitor_mtmount_telemetry --web`` beside it."""

    host: str  #: Where the page is served
    port: int
    tell: Callable[[str], object]  #: Called with the line that names the page's address

    @asynccontextmanager
    async def open(self, folder: Path, variables: Mapping[str, str]) -> AsyncIterator[KafkaTarget]:
        """Bring up the Kafka, then the page; `LoadTestError` if one of them does not come up.

        The same if the page's program ends before the run.
        """
        command = make_own_command("run_monitor")
        command += ["--web", f"{self.host}:{self.port}"]
        async with (
            super().open(folder, variables) as target,
            ChildProgram("monitor", command, target.environment, folder, read_output=True) as page,
        ):
            self.tell(await page.expect_line(START_TIMEOUT))
            try:
                async with asyncio.TaskGroup() as group:
                    watching = group.create_task(_watch(page))
                    yield target
                    watching.cancel()
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None


async def _watch(page: ChildProgram) -> None:
    status = await page.process.wait()
    raise LoadTestError(f"the monitor ended with status {status}\n{page.describe()}")
