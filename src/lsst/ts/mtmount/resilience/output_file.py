"""Files that options name: checked before anything starts, written without harm.

Links are followed. A regular file is replaced as a whole. Character devices and the program's own
descriptors (``/dev/stdout``, ``/dev/stderr``) are written in place. Anything else is refused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import select
import stat
from io import FileIO
from pathlib import Path

__all__ = ["OutputFile", "check_output_folder", "find_existing_folder", "make_output_folder", "write_all"]

#: As of Linux: more than this many links in a row are a loop.
MAX_LINKS = 40

#: How a descriptor of a process is called, once all links before it are followed.
DESCRIPTOR = re.compile(r"/proc/(?P<pid>\d+)(?:/task/\d+)?/fd/(?P<number>\d+)")

#: What may stand in the place of a file, by `stat.S_IFMT`.
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
}

#: So much must fit on the disk [bytes]: more than most reports have.
ROOM = 1 << 16

#: Errors that mean: this folder or file is not ours to replace.
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)


class OutputFile:
    """A file that a program writes because an option names it. It need not exist, but its folder.

    `OSError` if it cannot be written, or is neither a regular file nor a character device.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        text = os.fspath(path)
        if not text:
            raise OSError(errno.EINVAL, "expected a file name, got ''", text)
        self._descriptor = _find_descriptor(text)
        if self._descriptor is not None:
            # A copy, in case that something else gets this number.
            self._descriptor = _copy_for_writing(self._descriptor, text)
        elif text.endswith("/"):
            raise IsADirectoryError(errno.EISDIR, "expected a file, got a folder", text)
        elif self._stat() is None:
            _try_to_make_file(self.target.parent)
        else:
            # O_APPEND: all that a file with the attribute "append only" allows.
            os.close(self._open(os.O_WRONLY | os.O_APPEND))

    @property
    def target(self) -> Path:
        """The file itself, behind all links."""
        return Path(os.path.realpath(self.path))

    @property
    def is_replaceable(self) -> bool:
        """Is this a regular file, or will be one? Else it is written in place."""
        info = self._stat() if self._descriptor is None else None
        return self._descriptor is None and (info is None or stat.S_ISREG(info.st_mode))

    def check_room(self) -> None:
        """Raise `OSError` if the disk has no room for some kB. The file itself is left alone.

        The constructor does not ask for room: a program may start on a full disk, and write later.
        """
        if not self.is_replaceable:
            return
        try:
            _try_to_make_file(self.target.parent, ROOM)
        except OSError as error:
            # Where no draft can be made the file is written in place, which cannot be tried.
            if error.errno not in NOT_OURS:
                raise OSError(error.errno, error.strerror, str(self.path)) from None

    def is_same(self, other: OutputFile) -> bool:
        """Return whether writing to both would spoil a regular file."""
        if not (self.is_replaceable and other.is_replaceable):
            return False
        info, other_info = self._stat(), other._stat()
        if info is None or other_info is None:
            return self.target == other.target
        return os.path.samestat(info, other_info)

    def replace(self, data: bytes) -> None:
        """Make this the file's whole content; append it to what is written in place.

        A regular file keeps its mode and owner. It is written in place if its folder is not
        writable, or if it has other names (hard links). After an `OSError`, a file that could
        not be replaced is as it was.
        """
        try:
            self._replace(data)
        except OSError as error:
            # Not the name of the draft.
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def _replace(self, data: bytes) -> None:
        info = self._stat() if self._descriptor is None else None
        if self.is_replaceable and (info is None or info.st_nlink == 1):
            try:
                _replace_file(self.target, data, info)
                return
            except OSError as error:
                if info is None or error.errno not in NOT_OURS:
                    raise
        with self.open() as file:
            write_all(file.fileno(), data)

    def open(self, *, append: bool = False) -> FileIO:
        """Open it for writing, unbuffered and close-on-exec; with ``append`` also for reading."""
        if self._descriptor is not None:
            return FileIO(_copy_for_writing(self._descriptor, str(self.path)), "w")
        info = self._stat()
        is_regular = info is None or stat.S_ISREG(info.st_mode)
        if not is_regular:
            return FileIO(self._open(os.O_WRONLY), "w")
        if append:
            return FileIO(self._open(os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+")
        return FileIO(self._open(os.O_WRONLY | os.O_TRUNC | os.O_CREAT), "w")

    def _stat(self) -> os.stat_result | None:
        """Look at the target, which may be missing; `OSError` if it is of a kind that is not written to."""
        try:
            info = self.path.stat()
        except FileNotFoundError:
            return None
        kind = KINDS.get(stat.S_IFMT(info.st_mode))
        if kind is not None:
            raise OSError(errno.EINVAL, f"expected a file, got {kind}", str(self.path))
        return info

    def _open(self, flags: int) -> int:
        # Not blocking: another process may have put a FIFO there meanwhile. The target has no links left,
        # and O_CREAT of some kernels refuses what is in another user's /tmp.
        target = self.target
        if flags & os.O_CREAT and target.exists():
            flags &= ~os.O_CREAT
        descriptor = os.open(
            target, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
        )
        os.set_blocking(descriptor, True)
        return descriptor


def check_output_folder(path: str | os.PathLike[str]) -> Path:
    """Check that files can be made in a folder, which need not exist yet; `OSError` if not."""
    if not os.fspath(path):
        raise OSError(errno.EINVAL, "expected a folder, got ''", "")
    folder = find_existing_folder(path)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "expected a folder, got a file", str(folder))
    _try_to_make_file(folder)
    return Path(path)


def find_existing_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder, or the nearest one above that exists; it may turn out to be a file."""
    folder = Path(os.path.realpath(path))
    while not _is_there(folder):
        folder = folder.parent
    return folder


def make_output_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder for files, where there is none yet; `OSError` if none can be made in it."""
    check_output_folder(path)
    # Behind a link whose target is missing, too.
    Path(os.path.realpath(path)).mkdir(parents=True, exist_ok=True)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of the data, and wait for room where a descriptor does not block."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Whoever else has this open has set O_NONBLOCK; it is not ours to change.
            select.select([], [descriptor], [])


def _is_there(path: Path) -> bool:
    """Return whether there is anything; a name that there cannot be is an `OSError`."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _find_descriptor(text: str) -> int | None:
    """Return the number of the descriptor of this process that a path names, if it does."""
    path = Path(text).absolute()
    for _ in range(MAX_LINKS):
        folder = Path(os.path.realpath(path.parent))
        path = folder / path.name
        match = DESCRIPTOR.fullmatch(str(path))
        if match is not None:
            return int(match["number"]) if int(match["pid"]) == os.getpid() else None
        if not path.is_symlink():
            return None
        path = folder / path.readlink()
    return None


def _copy_for_writing(descriptor: int, path: str) -> int:
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "expected a descriptor for writing, got one for reading", path)
        return os.dup(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _make_draft(folder: Path) -> tuple[int, Path]:
    draft = folder / f".mtmount-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(draft, flags, 0o666), draft


def _try_to_make_file(folder: Path, size: int = 0) -> None:
    """Raise the error that making a file in this folder brings; access(2) knows too little of it."""
    try:
        descriptor, draft = _make_draft(folder)
        try:
            try:
                write_all(descriptor, bytes(size))
            finally:
                os.close(descriptor)
        finally:
            draft.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def _replace_file(target: Path, data: bytes, old: os.stat_result | None) -> None:
    descriptor, draft = _make_draft(target.parent)
    try:
        try:
            if old is not None:
                made = os.fstat(descriptor)
                if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
            write_all(descriptor, data)
        finally:
            os.close(descriptor)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
