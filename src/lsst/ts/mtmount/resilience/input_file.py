"""Files that options and variables name, read whole."""

import errno
import os
import stat

__all__ = ["read_file"]


def read_file(path: str, max_size: int) -> bytes:
    """Read a regular file of up to ``max_size`` bytes; `OSError` if it cannot be read, or is something else.

    A FIFO or a device is not waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), path) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file", path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(max_size + 1)
    finally:
        os.close(descriptor)
    if len(data) > max_size:
        raise OSError(errno.EFBIG, f"expected a file of up to {max_size} bytes", path)
    return data
