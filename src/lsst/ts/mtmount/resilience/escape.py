"""Text from outside, as it may be shown: on a terminal, in a log, in a file of lines."""

__all__ = ["escape"]

#: Stands at the end of a text that was cut.
ELLIPSIS = "..."


def escape(text: str, max_length: int | None = None) -> str:
    r"""Escape what would move a cursor, change colours, reverse the reading direction or end a line.

    ``\n``, ``\x1b``, ``\u202e``, ... stand for each character that `str.isprintable` does not accept:
    control characters (C0, C1), format characters such as bidirectional marks, line separators and
    surrogates. A second call changes nothing. A text longer than ``max_length`` [characters] is cut
    to it, and gets ``...`` behind it.
    """
    if max_length is not None and len(text) > max_length:
        return escape(text[:max_length]) + ELLIPSIS
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
