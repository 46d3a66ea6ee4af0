"""Our client is an ``lsst.ts.tcpip.Client`` to isinstance, if that package is imported before it is made.

The package here is a stand-in: an abstract class of that name in that place.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STAND_IN = '''
"""A stand-in for lsst.ts.tcpip."""
import abc

class BaseClientOrServer(abc.ABC):
    pass

class Client(BaseClientOrServer):
    pass
'''

CHECK = """
client = mtmount.Client("", 0, logging.getLogger())
assert isinstance(client, tcpip.Client)
assert isinstance(client, tcpip.BaseClientOrServer)
assert issubclass(mtmount.TelemetryClient, tcpip.Client)
assert not isinstance(object(), tcpip.Client)
assert not issubclass(tcpip.Client, mtmount.Client)
assert type(client).__mro__ == (mtmount.Client, object)
assert tcpip.__doc__ == "A stand-in for lsst.ts.tcpip."
assert type(tcpip.__loader__).__name__ == type(tcpip.__spec__.loader).__name__ == "SourceFileLoader"
assert "class BaseClientOrServer" in inspect.getsource(tcpip)
"""

PROGRAMS = {
    "theirs first": "from lsst.ts import tcpip\nfrom lsst.ts import mtmount" + CHECK,
    "ours first": """
from lsst.ts import mtmount
assert "lsst.ts.tcpip" not in sys.modules
from lsst.ts import tcpip
"""
    + CHECK,
    "a client first, another one after": """
from lsst.ts import mtmount
early_client = mtmount.Client("", 0, logging.getLogger())
from lsst.ts import tcpip
assert not isinstance(early_client, tcpip.Client)
"""
    + CHECK,
    "imported again": """
from lsst.ts import mtmount
import lsst.ts.tcpip
del sys.modules["lsst.ts.tcpip"], lsst.ts.tcpip
from lsst.ts import tcpip
"""
    + CHECK,
    "reloaded": """
from lsst.ts import mtmount, tcpip
tcpip = importlib.reload(tcpip)
"""
    + CHECK,
}
HEADER = """
import asyncio, importlib, inspect, logging, sys
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
"""
FOOTER = "\nloop.close()\n"


def run(program: str, *folders: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEADER + program + FOOTER],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert result.stderr == ""
    assert result.returncode == 0


def install(folder: Path, text: str) -> None:
    package = folder / "lsst" / "ts" / "tcpip"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text.lstrip())


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_isinstance(program: str, tmp_path: Path) -> None:
    install(tmp_path, STAND_IN)
    run(program, tmp_path)


def test_not_installed() -> None:
    run("""
from lsst.ts import mtmount
try:
    import lsst.ts.tcpip
except ModuleNotFoundError as error:
    assert error.name == "lsst.ts.tcpip"
else:
    raise AssertionError
""")


@pytest.mark.parametrize("text", ["", "class Client: pass\n"])
def test_another_package_of_that_name(text: str, tmp_path: Path) -> None:
    install(tmp_path, text)
    run('from lsst.ts import mtmount, tcpip\nmtmount.Client("", 0, logging.getLogger())\n', tmp_path)
