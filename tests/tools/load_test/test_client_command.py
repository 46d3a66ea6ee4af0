import sys
from pathlib import Path

import pytest

from lsst.ts.mtmount.tools.load_test.client_command import OURS, PLAIN, ClientCommand, parse_client_command

REPORT = Path("folder") / "client.json"


def test_placeholders() -> None:
    client = parse_client_command("'my client' -H {host}:{port} --every={interval} --to {report}")
    assert client.name == "my client"
    assert client.has_counters
    assert client.make_command("::1", 5, REPORT, 0.5) == [
        "my client",
        "-H",
        "::1:5",
        "--every=0.5",
        "--to",
        "folder/client.json",
    ]


def test_options_are_appended() -> None:
    client = parse_client_command("/opt/bin/run_it --loglevel 30")
    assert client.name == "run_it"
    assert not client.has_counters
    command = client.make_command("127.0.0.1", 1234, REPORT, 0.5)
    assert command == ["/opt/bin/run_it", "--loglevel", "30", "--host", "127.0.0.1", "--port", "1234"]


def test_one_placeholder_is_enough() -> None:
    command = parse_client_command("run --tma={port} {{}}").make_command("127.0.0.1", 1234, REPORT, 0.5)
    assert command == ["run", "--tma=1234", "{{}}"]


@pytest.mark.parametrize("text", ["", "  ", "'open"])
def test_no_command(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty|quotation"):
        parse_client_command(text)


@pytest.mark.parametrize("client", [OURS, PLAIN])
def test_own_clients_tell_counters(client: ClientCommand) -> None:
    assert client.has_counters
    command = client.make_command("127.0.0.1", 1234, REPORT, 0.5)
    assert command[0] == sys.executable
    assert command[-8:] == [
        *("--host", "127.0.0.1", "--port", "1234"),
        *("--report", "folder/client.json", "--report-interval", "0.5"),
    ]
