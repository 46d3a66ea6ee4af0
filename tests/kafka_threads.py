"""The threads of Kafka's client library in this process."""

from pathlib import Path

__all__ = ["count_kafka_threads"]


def count_kafka_threads(name: str) -> int:
    """Count those of a name, such as ``rdk:main``; Python does not know them."""
    count = 0
    for task in Path("/proc/self/task").iterdir():
        try:
            count += (task / "comm").read_text() == f"{name}\n"
        except (FileNotFoundError, ProcessLookupError):
            # It has ended meanwhile.
            continue
    return count
