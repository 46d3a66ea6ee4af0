"""A server in a thread, which no end of an event loop concerns."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["serve"]


@contextmanager
def serve(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Answer one connection after the other, then close it; gives the port.

    That the other end has gone ends a connection, and not the server.
    """

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)
