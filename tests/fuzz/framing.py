"""Framing: a `FrameBuffer` against bytes and what they offer."""

from lsst.ts.mtmount.core import DropReason, FrameBuffer, FrameError

from .script import Script

TERMINATORS = [b"\r\n", b"\n", b"aa", b"aab", b"abaab", b"\0\0\0\0", b"\r\n\r\n\r"]
LIMITS = [1, 2, 3, 7, 20, 300, 65536]
#: More than a new buffer has room for: it then moves, grows and shrinks.
LARGE = b"-" * 70_000

TOKENS = [*TERMINATORS, b"a" * 8, b"\r\r\n"]


def check(data: bytes) -> None:
    """Cut frames, or call everything else in any order.

    The first bytes choose which, the terminator and the limit.
    """
    script = Script(data)
    choice = script.byte()
    terminator = TERMINATORS[script.byte() % len(TERMINATORS)]
    limit = LIMITS[script.byte() % len(LIMITS)]
    receiver = Receiver(script, FrameBuffer(terminator, limit), num_large=choice >> 1 & 1)
    (check_calls if choice & 1 else check_frames)(script, receiver)


class Receiver:
    """Passes the script's bytes to a buffer."""

    def __init__(self, script: Script, buffer: FrameBuffer, num_large: int) -> None:
        self.script = script
        self.buffer = buffer
        self.num_large = num_large

    def receive(self) -> bytes:
        """Pass on the next bytes, in one of two ways, and return them."""
        size = self.script.byte()
        chunk = self.script.take(size & 0x1F) * (1 + (size >> 6))
        if size & 0x20 and self.num_large > 0:
            self.num_large -= 1
            chunk += LARGE
        if self.script.byte() & 1:
            self.buffer.feed(chunk)
            return chunk
        tail = self.buffer.get_buffer(self.script.byte() - 1)
        assert len(tail) > 0
        chunk = chunk[: len(tail)]
        tail[: len(chunk)] = chunk
        self.buffer.buffer_updated(len(chunk))
        return chunk


def check_frames(script: Script, receiver: Receiver) -> None:
    """Compare the frames with those of bytes.split."""
    buffer = receiver.buffer
    received = b""
    found: list[bytes | int] = []

    def next_frame() -> bool:
        try:
            frame = buffer.next_frame()
        except FrameError as error:
            assert error.reason is DropReason.TOO_LONG
            found.append(int(error.detail.split()[-1]))
            return True
        if frame is not None:
            found.append(frame)
        return frame is not None

    while script:
        received += receiver.receive()
        for _ in range(script.byte() & 3):
            next_frame()
    while next_frame():
        pass
    *frames, rest = received.split(buffer.terminator)
    assert found == [frame if len(frame) <= buffer.limit else len(frame) for frame in frames]
    # Of an over-long frame that has not ended, what cannot be its terminator is gone.
    kept = buffer.take(len(buffer))
    assert rest.endswith(kept)
    if len(kept) < len(rest):
        assert len(kept) < len(buffer.terminator)
        assert len(rest) > buffer.limit


def check_calls(script: Script, receiver: Receiver) -> None:
    """Compare all other methods with those of bytes."""
    buffer = receiver.buffer
    unread = b""
    while script:
        call = script.byte() % 7
        if call == 0:
            unread += receiver.receive()
        elif call == 1:
            separator = TERMINATORS[script.byte() % len(TERMINATORS)]
            assert buffer.find(separator) == unread.find(separator)
        elif call == 2:
            assert buffer.find() == unread.find(buffer.terminator)
        elif call == 3:
            n = min(script.byte() << 4, len(unread))
            assert buffer.take(n) == unread[:n]
            unread = unread[n:]
        elif call == 4:
            n = min(script.byte() << 8, len(unread))
            buffer.skip(n)
            unread = unread[n:]
        elif call == 5:
            target = bytearray(script.byte())
            n = buffer.readinto(target)
            assert target[:n] == unread[: len(target)]
            unread = unread[n:]
        else:
            refuse_bad_counts(buffer, len(unread))
        assert len(buffer) == len(unread)
        n = min(len(unread), 40)
        assert buffer.peek(n) == unread[:n]


def refuse_bad_counts(buffer: FrameBuffer, num_unread: int) -> None:
    """Ask for more than there is, and for less than nothing."""
    for n in (-1, num_unread + 1, 2**62):
        for call in (buffer.take, buffer.peek, buffer.skip):
            try:
                call(n)
            except ValueError:
                continue
            raise AssertionError(f"{call.__name__}({n}) with {num_unread} bytes unread")


def seeds() -> list[bytes]:
    """Return one input for each terminator, of frames and of calls."""
    streams = [b"%cab" % 3 + terminator * 2 + b"aba" * 9 for terminator in TERMINATORS]
    return [
        bytes([mixed, number, 4]) + b"\x05\1".join([stream] * 4)
        for mixed in range(4)
        for number, stream in enumerate(streams)
    ]
