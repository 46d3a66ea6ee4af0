"""A file option never harms what it names."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lsst.ts.mtmount.resilience.output_file import OutputFile, check_output_folder


def test_missing_file_is_made_when_it_is_written(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []
    umask = os.umask(0o027)
    try:
        file.replace(b"one")
    finally:
        os.umask(umask)
    assert (tmp_path / "new.json").read_bytes() == b"one"
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]


def test_regular_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    path.chmod(0o604)
    with path.open("rb") as reader:
        file = OutputFile(path)
        file.replace(b"new")
        assert reader.read() == b"old", "who reads it never sees half of the new one"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("has_target", [True, False])
def test_links_are_followed(tmp_path: Path, has_target: bool) -> None:
    (tmp_path / "volume").mkdir()
    target = tmp_path / "volume" / "report.json"
    if has_target:
        target.write_bytes(b"old")
    (tmp_path / "second").symlink_to("volume/report.json")
    link = tmp_path / "link"
    link.symlink_to("second")
    OutputFile(link).replace(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()


def test_file_with_two_names_keeps_both(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old and long")
    second.hardlink_to(first)
    OutputFile(second).replace(b"new")
    assert first.read_bytes() == second.read_bytes() == b"new"


@pytest.fixture
def run_as_user() -> Iterator[Callable[[str], None]]:
    """Run statements in an empty folder as a user for whom modes hold, which they do not for root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)

        def run(statements: str) -> None:
            script = (
                "import os, sys; from pathlib import Path\n"
                "from lsst.ts.mtmount.resilience.output_file import OutputFile\n"
                "if os.geteuid() == 0: os.seteuid(65534)\n" + statements
            )
            subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, timeout=60)

        yield run


def test_file_in_a_folder_that_cannot_be_written_is_written_in_place(
    run_as_user: Callable[[str], None],
) -> None:
    run_as_user(
        "Path('folder').mkdir(); path = Path('folder/report'); path.write_bytes(b'old and long')\n"
        "Path('folder').chmod(0o500); OutputFile(path).replace(b'new')\n"
        "assert path.read_bytes() == b'new'\n"
        "try: OutputFile('folder/other')\n"
        "except PermissionError: pass\n"
        "else: sys.exit('the folder can be written')\n"
        "finally: Path('folder').chmod(0o700)"
    )


def test_file_that_must_not_be_written_is_left_alone(run_as_user: Callable[[str], None]) -> None:
    run_as_user(
        "path = Path('report'); path.write_bytes(b'old'); path.chmod(0o400)\n"
        "try: OutputFile(path)\n"
        "except PermissionError: assert path.read_bytes() == b'old'\n"
        "else: sys.exit('the file can be written')"
    )


def test_character_device_is_written_in_place(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    for path in (Path("/dev/null"), link):
        before = path.stat()
        file = OutputFile(path)
        file.replace(b"text")
        with file.open(append=True) as stream:
            stream.write(b"text")
        assert os.path.samestat(path.stat(), before)
        assert not file.is_replaceable
    with pytest.raises(OSError, match="No space"):
        OutputFile("/dev/full").replace(b"text")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("target", ["pipe", "file"])
def test_own_descriptors_are_written_in_place(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    script = (
        "import sys; from lsst.ts.mtmount.resilience.output_file import OutputFile\n"
        "file = OutputFile(sys.argv[1])\n"
        "print('before', flush=True); file.replace(b'report\\n'); print('after', flush=True)"
    )
    command = [sys.executable, "-c", script, name]
    if target == "pipe":
        output = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    else:
        path = tmp_path / "output"
        with path.open("wb") as stream:
            subprocess.run(command, cwd=tmp_path, stdout=stream, check=True, timeout=60)
        output = path.read_bytes()
    assert output == b"before\nreport\nafter\n"
    assert (tmp_path / "link").is_symlink()


def test_descriptor_for_reading_is_refused() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="expected a descriptor for writing") as info:
            OutputFile(f"/dev/fd/{reader}")
        assert info.value.filename == f"/dev/fd/{reader}"
        with OutputFile(f"/dev/fd/{writer}").open() as file:
            file.write(b"x")
        assert os.read(reader, 9) == b"x"
    finally:
        os.close(reader)
        os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        OutputFile(f"/dev/fd/{writer}")


@pytest.mark.parametrize("is_link", [True, False])
@pytest.mark.parametrize("kind", ["FIFO", "socket", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str, is_link: bool) -> None:
    path = tmp_path / "x"
    server = socket.socket(socket.AF_UNIX)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        server.bind(str(path))
    else:
        path.mkdir()
    before = path.lstat()
    named = path
    if is_link:
        named = tmp_path / "link"
        named.symlink_to("x")
    with pytest.raises(OSError, match=f"expected a file, got a {kind}") as info:
        OutputFile(named)
    assert info.value.filename == str(named)
    assert os.path.samestat(path.lstat(), before)
    server.close()


def test_what_takes_the_place_of_the_file_later_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    file = OutputFile(path)
    os.mkfifo(path)
    with pytest.raises(OSError, match="got a FIFO"):
        file.replace(b"text")
    with pytest.raises(OSError, match="got a FIFO"):
        file.open()
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("missing/file", errno.ENOENT),
        ("file/below", errno.ENOTDIR),
        ("missing/", errno.EISDIR),
        ("x" * 300, errno.ENAMETOOLONG),
        ("loop", errno.ELOOP),
        ("", errno.EINVAL),
    ],
)
def test_paths_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"")
    Path("loop").symlink_to("loop")
    with pytest.raises(OSError) as info:
        OutputFile(name)
    assert info.value.errno == number


def test_failed_replacement_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    script = (
        "import resource, signal, sys; from lsst.ts.mtmount.resilience.output_file import OutputFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "file = OutputFile(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "file.replace(bytes(20))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60
    )
    assert "File too large" in run.stderr
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("exists", [False, True])
def test_room_is_tried_beside_the_file(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "report.json"
    if exists:
        path.write_bytes(b"old")
    script = (
        "import resource, sys; from lsst.ts.mtmount.resilience.output_file import OutputFile\n"
        "file = OutputFile(sys.argv[1]); file.check_room(); OutputFile('/dev/null').check_room()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "OutputFile('/dev/null').check_room(); OutputFile(sys.argv[1])\n"
        "try:\n    file.check_room()\nexcept OSError as error: print(error.filename, error.strerror)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60
    )
    assert (run.stdout, run.stderr) == (f"{path} File too large\n", "")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"] * exists


def test_stream_replaces_or_continues_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(b"old and long")
    file = OutputFile(path)
    assert path.read_bytes() == b"old and long"
    with file.open(append=True) as stream:
        stream.write(b"+")
    assert path.read_bytes() == b"old and long+"
    with file.open() as stream:
        stream.write(b"new")
        assert not os.get_inheritable(stream.fileno())
    assert path.read_bytes() == b"new"


def test_same_file_by_two_names(tmp_path: Path) -> None:
    path = tmp_path / "a"
    (tmp_path / "link").symlink_to("a")
    file, link, other = OutputFile(path), OutputFile(tmp_path / "link"), OutputFile(tmp_path / "b")
    assert file.is_same(link)
    assert not file.is_same(other)
    path.write_bytes(b"")
    (tmp_path / "b").hardlink_to(path)
    assert file.is_same(link)
    assert file.is_same(other)
    assert not OutputFile("/dev/null").is_same(OutputFile("/dev/null"))


def test_folder(tmp_path: Path) -> None:
    assert check_output_folder(tmp_path / "new" / "one") == tmp_path / "new" / "one"
    assert check_output_folder(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            check_output_folder(path)
    with pytest.raises(OSError, match="expected a folder, got ''"):
        check_output_folder("")
    with pytest.raises(OSError):
        check_output_folder("/proc/self/new")
