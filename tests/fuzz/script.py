"""Reading decisions from a fuzzer's bytes."""


class Script:
    """Bytes that are read as decisions; zeros when they are used up.

    Parameters
    ----------
    data : `bytes`
        The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def __bool__(self) -> bool:
        """Are there any left?"""
        return self.position < len(self.data)

    def byte(self) -> int:
        """Return the next byte."""
        taken = self.take(1)
        return taken[0] if taken else 0

    def take(self, n: int) -> bytes:
        """Return the next n bytes, or what is left."""
        taken = self.data[self.position : self.position + n]
        self.position += len(taken)
        return taken

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self.data))
