"""Text from outside, and errors, as they may be shown: on a terminal, in a log, in a file of lines."""

import os
import re

__all__ = ["describe_error", "escape"]

#: How asyncio begins the text of what a connection or a server fails for; addresses follow.
ASYNCIO_TEXTS = ("Connect call failed", "Multiple exceptions", "error while attempting to bind")

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


def describe_error(error: BaseException) -> str:
    """Describe an error as one line of text.

    Of an `OSError` that is what happened, behind its path if it has one. An error that
    is neither the system's, nor Kafka's, nor ours is told with the name of its class.
    """
    try:
        return escape(_describe(error).strip())
    except Exception as failure:
        # A user's class may have any methods.
        return f"{type(error).__name__}, whose text cannot be had: {type(failure).__name__}"


def _describe(error: BaseException) -> str:
    if isinstance(error, OSError):
        text = _describe_os_error(error)
    elif error.args and type(error.args[0]).__name__ == "KafkaError":
        text = error.args[0].str()
    else:
        text = str(error)
        if not text or not type(error).__module__.startswith(__name__.partition(".resilience")[0]):
            text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


def _describe_os_error(error: OSError) -> str:
    text = error.strerror or str(error) or type(error).__name__
    if text.startswith(ASYNCIO_TEXTS):
        # Of one attempt, or of several.
        numbers = [error.errno] if error.errno else map(int, re.findall(r"\[Errno (\d+)\]", text))
        text = ", ".join(dict.fromkeys(map(os.strerror, numbers))) or text
    return text if error.filename is None else f"{error.filename}: {text}"
