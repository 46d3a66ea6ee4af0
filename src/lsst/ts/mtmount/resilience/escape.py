"""Text from outside, as it may be shown: on a terminal, in a log, in a file of lines."""

__all__ = ["escape"]

#: Stands at the end of a text that was cut.
ELLIPSIS = "..."


def escape(text: str, max_length: int | None = None) -> str:
    r"""Escape what would move a cursor, change colours, reverse the reading direction or end a line.

    Parameters
    ----------
    text : `str`
        The text, from the TMA, the registry, Kafka, a user, ...
    max_length : `int` or `None`
        Cut a longer text to this, and put ``...`` behind it [characters]. None: not cut.

    Returns
    -------
    escaped : `str`
        ``\n``, ``\x1b``, ``\u202e``, ... for each character that `str.isprintable` does not accept:
        control characters (C0, C1), format characters such as bidirectional marks, line separators and
        surrogates. A second call changes nothing.
    """
    if max_length is not None and len(text) > max_length:
        return escape(text[:max_length]) + ELLIPSIS
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
